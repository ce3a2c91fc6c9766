// From an address in a process to what stands there in the source.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

namespace lightning::faults {

// "function (file:line)" as far as the debug information says. The process must still be there.
std::string SourceLine(pid_t process, uint64_t address);

// The same for the innermost caller of where a process stopped under ptrace by the calling thread stands, whose code
// comes from the file `module`; "" when there is none, or when it stands in that file itself.
std::string CallerIn(pid_t process, const std::string& module);

}  // namespace lightning::faults
