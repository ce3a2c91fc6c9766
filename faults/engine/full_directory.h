// A segment in a directory that is full: a small file system of its own, in a mount namespace.
#pragma once

#include <cstdint>
#include <string>

#include "lightning/options.h"

namespace lightning::faults {

struct FullDirectory {
  uint64_t refused = 0;    // segments that could not be made because nothing was left
  std::string cannot_run;  // the missing fact
  std::string error;       // what is wrong, or ""
};

// In a process of its own. While the directory is full, making another segment fails with kNoSpace and leaves nothing
// behind; clients of the one that is there go on, attach, are killed and healed; once there is room it can be made.
// `leave_room`: for a test of this function: the directory is not filled, which must be an error.
FullDirectory TryFullDirectory(uint64_t seed, Isolation isolation, bool leave_room = false);

}  // namespace lightning::faults
