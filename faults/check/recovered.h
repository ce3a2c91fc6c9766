// What a recovery makes of a crash state, as bytes: for people who compare the two.
#pragma once

#include <cstddef>
#include <vector>

#include "store/segment/segment.h"

namespace lightning::faults {

// The bytes after a fresh client has recovered a copy in which all are dead but the clients of the slots `alive`; or as
// far as it came, when it met an assertion or did not come back.
std::vector<std::byte> RecoveredBytes(const Segment& segment, const std::vector<SlotIndex>& alive);

}  // namespace lightning::faults
