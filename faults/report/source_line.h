// From an address in a process to what stands there in the source.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

namespace lightning::faults {

// "function (file:line)" as far as the debug information says. The process must still be there.
std::string SourceLine(pid_t process, uint64_t address);

}  // namespace lightning::faults
