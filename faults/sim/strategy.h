// Who moves next. A schedule is a list of turns: one client, and how many accesses to shared words it does in a row.
// All strategies give turns one by one, so that what any of them did can be replayed.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "faults/model/random.h"
#include "faults/plan/plan.h"

namespace lightning::faults {

struct Situation {
  uint32_t current = 0;       // who had the last turn
  bool current_ready = true;  // false: it waits for others, or is done, or dead
  uint64_t ready = 0;         // bit by client: could go on
  uint64_t waiting = 0;       // would only look again at what it waits for
  uint64_t points = 0;        // accesses so far, by all
  uint32_t buffered = 0;      // stores of `current` that others cannot see yet
};

struct Turn {
  static constexpr uint64_t kUntilItWaits = ~uint64_t{0};
  uint32_t client = 0;
  uint64_t points = kUntilItWaits;
  uint32_t held = 0;  // of the buffered stores of the one before, the newest so many stay in its buffer
};

class Strategy {
 public:
  virtual ~Strategy() = default;
  virtual void Begin() = 0;
  // REQUIRES: somebody is ready or waiting.
  virtual Turn Next(const Situation& situation) = 0;
  // After a run of so many points, and who was current from which point on. False when there is nothing more to try.
  virtual bool End(uint64_t points, const std::vector<ScheduleStep>& turns) = 0;
};

// From the plan, whose schedule outlives it; `seed` for those with chance in them.
std::unique_ptr<Strategy> MakeStrategy(const Schedule& schedule, uint32_t clients, uint64_t seed);

// Who goes on when nobody says otherwise: the current one; when it cannot, the next one that is ready, in a circle, and
// else the next that waits.
uint32_t DefaultNext(const Situation& situation);

}  // namespace lightning::faults
