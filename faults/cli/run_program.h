// Programs that the commands start: gdb, rr, tar.
#pragma once

#include <string>
#include <vector>

namespace lightning::faults {

// Starts it with this program's streams and environment and waits; its exit status, 128 and the signal when one ended
// it, or -1 when it is not there. An interrupt from the terminal is the program's own affair.
int RunProgram(const std::vector<std::string>& command);

// Whether a program of this name is in PATH.
bool InPath(const std::string& program);

}  // namespace lightning::faults
