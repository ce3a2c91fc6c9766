// The rule for windows, watched (store/watch/deeds.h says what may not be). The code is the one that ships: this thread
// single-steps itself by the processor's trap flag, and each instruction is looked at before it runs. ci/sanitize
// windows watches the whole test suite, in a build of its own.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "store/gate/gate.h"

namespace lightning::pkeys {

struct DisciplineReport {
  uint64_t instructions = 0;  // that were watched
  uint64_t inside = 0;        // of them, while a window was open
  uint64_t gate_calls = 0;    // system calls of the gate inside a window: mode mprotect's own
  uint64_t system_calls = 0, allocations = 0, pointer_calls = 0;  // violations
  std::vector<std::string> violations;                            // the first ones: what, and in which function
  bool well() const { return system_calls + allocations + pointer_calls == 0; }
};

// Runs `body` in this thread and watches the windows of `gates`. One at a time in a process.
DisciplineReport WatchWindows(const std::vector<const Gate*>& gates, const std::function<void()>& body);

}  // namespace lightning::pkeys
