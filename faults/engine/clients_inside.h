// What real processes are at, for findings about a segment that does not come to rest.
#pragma once

#include <sys/types.h>

#include <string>

#include "store/segment/segment.h"

namespace lightning::faults {

// Where a process stands, and where its forked children do, for which it may be waiting.
std::string StacksOf(pid_t process);

// The clients in the middle of something, as a Check that stays `busy` sees them: the words of each one's slot that say
// so, and where the process of that number stands. "nobody is inside an operation" where there is none.
std::string ClientsInside(const Segment& segment);

}  // namespace lightning::faults
