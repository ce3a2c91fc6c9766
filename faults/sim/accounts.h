// Whether a segment that nobody is attached to has lost or gained anything: every invariant, and every object, byte and
// id accounted for.
#pragma once

#include <string>

#include "store/segment/segment.h"

namespace lightning::faults {

// What is wrong, or "". REQUIRES: every client has detached, or is dead and healed; nobody moves.
std::string JudgeAccounts(const Segment& segment);

}  // namespace lightning::faults
