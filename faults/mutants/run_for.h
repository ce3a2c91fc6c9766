// Runs another program for a limited time.
#pragma once

#include <string>
#include <vector>

namespace lightning::faults {

struct RunOutcome {
  int status = -1;    // exit status; -1: ended by a signal
  bool late = false;  // it was killed since it took too long
  double seconds = 0;
};

// The program in `command` in a process group of its own, with its output in the file `log`. Whatever it leaves behind
// is killed.
RunOutcome RunFor(const std::vector<std::string>& command, const std::string& log, double seconds);

std::string ReadWholeFile(const std::string& path);  // empty when there is none

}  // namespace lightning::faults
