// The search behind linearizability.h, which says how it goes about it. Internal.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <vector>

#include "faults/check/linearizability.h"
#include "faults/check/register_problem.h"
#include "faults/check/visited_set.h"

namespace lightning::faults {

class RegisterSearch {
 public:
  Verdict Run(std::span<const RegisterOperation> operations, const SearchBudget& budget, uint64_t initial,
              Explanation* explanation);
  uint64_t states() const { return states_; }

 private:
  // A configuration, and what may come next in it.
  struct Frame {
    size_t trail = 0;
    uint32_t state = 0, blocked = 0;
    size_t begin = 0, next = 0, end = 0;  // in candidates_
  };
  // What is left to do for one value.
  struct Left {
    uint32_t readers = 0, writers = 0;
  };

  Verdict Walk();
  void Start(std::span<const RegisterOperation> operations, const SearchBudget& budget, uint64_t initial,
             Explanation* explanation);
  bool Enter();
  uint32_t Settle();
  void LookAround(uint32_t blocked_entry);
  bool Seen(uint32_t blocked_entry);
  void Propose(uint32_t blocked_entry);
  bool Advance();
  bool Place(uint32_t what, uint32_t blocked_entry);
  void Absorb(uint32_t blocked_entry, uint32_t except);
  void Lift(uint32_t index, uint32_t bits = 0);
  void Undo(size_t trail);
  bool OutOfBudget() const;
  void Remember(uint32_t blocked);

  bool StaysWritable(uint32_t value);
  bool Useful(uint32_t value) const;
  bool MayBeHidden(const ListedStep& step) const {
    return step.writes && !step.optional && step.needs == Needs::kAnything && !Wanted(step.written);
  }
  bool MayComeNext(const ListedStep& step) const;
  bool Wanted(uint32_t value) const {
    return left_[value].readers > 0 || problem_.values[value].maybe_needed > 0 || other_left_ > 0 ||
           problem_.maybe_other;
  }
  uint32_t Called(const OpenClass& group, uint64_t time) const;

  RegisterProblem problem_;
  VisitedSet visited_;
  SearchBudget budget_;
  std::chrono::steady_clock::time_point deadline_;
  Explanation* explanation_ = nullptr;
  uint64_t states_ = 0;
  bool limited_ = true;   // an open-ended step happens at most once
  bool counted_ = false;  // how many of each class happened is part of a configuration
  bool short_ = false;    // there were too few of some class somewhere

  uint32_t state_ = 0;
  std::vector<Left> left_;
  uint32_t other_left_ = 0;
  std::vector<uint32_t> used_;  // of each class
  std::vector<uint32_t> trail_;
  std::vector<Frame> frames_;
  std::vector<uint32_t> candidates_;
  std::vector<uint32_t> pending_;  // steps called before the blocked return and not placed
  std::vector<uint64_t> key_;
};

}  // namespace lightning::faults
