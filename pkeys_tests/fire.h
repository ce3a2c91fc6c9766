// Windows under fire: opened and closed by threads that come and go, under a storm of timer signals to each of them,
// while the process forks, also from inside a window.
#pragma once

#include <cstdint>
#include <string>

#include "lightning/options.h"

namespace lightning::pkeys {

struct FirePlan {
  Isolation isolation = Isolation::kNone;
  uint64_t windows = 0;  // at least; more until each of two lanes of threads has met enough signals
  // What to plant, to see that it is seen.
  enum class Planted { kNothing, kLeak, kLostWrite, kHandlerWithRights, kInheritedMapping } planted = Planted::kNothing;
};

struct FireReport {
  uint64_t windows = 0, signals = 0, threads = 0, forks = 0;
  uint64_t leaks = 0;           // a window that was still open behind its end
  uint64_t wrong_rights = 0;    // rights inside a window, in a handler or in a new thread that are not the mode's
  uint64_t lost_writes = 0;     // windows whose store is not in the segment at the end
  uint64_t wrong_children = 0;  // children that could write to the segment
  bool well() const { return leaks + wrong_rights + lost_writes + wrong_children == 0; }
  std::string ToString() const;  // one line
};

FireReport WindowsUnderFire(const FirePlan& plan);

}  // namespace lightning::pkeys
