// Which build this is, and on what it runs: what a failure that is sent elsewhere has to say.
#pragma once

#include <map>
#include <string>

namespace lightning::faults {

// The linker's build-id of this program, in hexadecimal; "" when it was linked without one.
std::string OwnBuildId();

// "compiler", "kernel", "processor", "format" (of segments): for people, and for comparing.
std::map<std::string, std::string> Versions();

}  // namespace lightning::faults
