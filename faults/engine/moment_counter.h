// Counts the moments of a plan in the life of a client that is stepped.
#pragma once

#include <cstdint>
#include <span>

#include "faults/check/undo_watch.h"
#include "faults/plan/plan.h"

namespace lightning::faults {

class MomentCounter {
 public:
  explicit MomentCounter(const Moment& moment) : moment_(moment) {}
  // Whether an engine that sees instructions and changed words can count them: all units but points.
  static bool Knows(Moment::Unit unit) { return unit != Moment::kPoint; }

  // After an instruction that changed words of the segment. `instruction`: its number.
  void Note(const Segment& segment, uint64_t instruction, std::span<const WordChange> changes);
  bool reached() const { return count_ >= moment_.number; }

 private:
  bool Means(const Segment& segment, const WordChange& change);

  const Moment moment_;
  uint64_t count_ = 0;
  uint64_t last_entry_ = 0, last_log_count_ = 0;
};

}  // namespace lightning::faults
