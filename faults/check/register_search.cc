#include "faults/check/register_search.h"

#include <algorithm>

namespace lightning::faults {
namespace {

using Clock = std::chrono::steady_clock;

// On the trail: a step, or with a bit one of a class of open ones, or a step that did not happen.
constexpr uint32_t kClassBit = 1u << 31, kDroppedBit = 1u << 30;
constexpr uint64_t kLookAtClock = 256;  // configurations between two looks

}  // namespace

Verdict RegisterSearch::Run(std::span<const RegisterOperation> operations, const SearchBudget& budget, uint64_t initial,
                            Explanation* explanation) {
  Start(operations, budget, initial, explanation);
  // Without open-ended steps there is but one way. Else how often each was used would tell configurations apart, too
  // many of them; so first two that need no counts, and answer nearly always. This one may forget too much.
  limited_ = true;
  counted_ = false;
  const Verdict first = Walk();
  if (first != Verdict::kIllegal || !short_) return first;
  // This one lets every open-ended step happen as often as it helps.
  limited_ = false;
  const Verdict second = Walk();
  if (second != Verdict::kOk) return second;
  limited_ = counted_ = true;
  return Walk();
}

Verdict RegisterSearch::Walk() {
  state_ = problem_.initial;
  frames_.clear();
  candidates_.clear();
  const size_t counts = counted_ ? problem_.classes.size() : 0, exact = 1 + (problem_.slots + 63) / 64;
  visited_.Reset(exact, counts);
  key_.resize(exact + counts);
  Verdict verdict = Verdict::kOk;
  while (verdict == Verdict::kOk && !Enter()) {
    if (OutOfBudget())
      verdict = Verdict::kUnknown;
    else if (!Advance())
      verdict = Verdict::kIllegal;
  }
  Undo(0);
  return verdict;
}

void RegisterSearch::Start(std::span<const RegisterOperation> operations, const SearchBudget& budget, uint64_t initial,
                           Explanation* explanation) {
  budget_ = budget;
  if (budget.seconds > 0)
    deadline_ =
        Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(budget.seconds));
  explanation_ = explanation;
  if (explanation != nullptr) *explanation = {};
  problem_.Build(operations, initial);
  states_ = 0;
  short_ = false;
  other_left_ = problem_.other_readers;
  left_.clear();
  for (const ValueFacts& facts : problem_.values) left_.push_back({facts.readers, facts.writers});
  used_.assign(problem_.classes.size(), 0);
  trail_.clear();
}

bool RegisterSearch::OutOfBudget() const {
  if (budget_.states != 0 && states_ >= budget_.states) return true;
  if (states_ % kLookAtClock != 0) return false;
  return (budget_.seconds > 0 && Clock::now() >= deadline_) || (budget_.bytes != 0 && visited_.bytes() > budget_.bytes);
}

// Takes a step out of the list of those still to be placed (Knuth's dancing links), or puts it back.
void RegisterSearch::Lift(uint32_t index, uint32_t bits) {
  const ListedStep& step = problem_.steps[index];
  for (const uint32_t at : {step.call_entry, step.return_entry}) {
    const ListEntry& entry = problem_.entries[at];
    problem_.entries[entry.prev].next = entry.next;
    problem_.entries[entry.next].prev = entry.prev;
  }
  if (step.writes) --left_[step.written].writers;
  if (!step.optional && step.needs == Needs::kEqual) --left_[step.needed].readers;
  if (!step.optional && step.needs == Needs::kOther) --other_left_;
  trail_.push_back(index | bits);
}

void RegisterSearch::Undo(size_t trail) {
  while (trail_.size() > trail) {
    const uint32_t what = trail_.back();
    trail_.pop_back();
    if (what & kClassBit) {
      --used_[what & ~kClassBit];
      if (limited_) ++left_[problem_.classes[what & ~kClassBit].written].writers;
      continue;
    }
    const ListedStep& step = problem_.steps[what & ~kDroppedBit];
    for (const uint32_t at : {step.return_entry, step.call_entry}) {
      const ListEntry& entry = problem_.entries[at];
      problem_.entries[entry.prev].next = at;
      problem_.entries[entry.next].prev = at;
    }
    if (step.writes) ++left_[step.written].writers;
    if (!step.optional && step.needs == Needs::kEqual) ++left_[step.needed].readers;
    if (!step.optional && step.needs == Needs::kOther) ++other_left_;
  }
}

// Places what fits and changes nothing, and lets those go that need not happen. The entry of the first return that
// still waits for its step, or 0: everything is placed.
uint32_t RegisterSearch::Settle() {
  const std::vector<ListEntry>& entries = problem_.entries;
  for (uint32_t at = entries[0].next; at != 0;) {
    const uint32_t index = entries[at].step;
    const ListedStep& step = problem_.steps[index];
    if (entries[at].is_return) {
      if (!step.optional || Wanted(step.written)) return at;
      Lift(index, kDroppedBit);
    } else if (!step.writes && step.Fits(state_)) {
      Lift(index);
      if (entries[at].next == step.return_entry) at = step.return_entry;
    }
    at = entries[at].next;
  }
  return 0;
}

void RegisterSearch::LookAround(uint32_t blocked_entry) {
  pending_.clear();
  for (uint32_t at = problem_.entries[0].next; at != blocked_entry; at = problem_.entries[at].next)
    pending_.push_back(problem_.entries[at].step);
}

uint32_t RegisterSearch::Called(const OpenClass& group, uint64_t time) const {
  const auto begin = problem_.open.begin() + group.begin, end = problem_.open.begin() + group.end;
  return static_cast<uint32_t>(
      std::upper_bound(begin, end, time, [](uint64_t t, const RegisterStep& step) { return t < step.call; }) - begin);
}

// What was placed follows from where the first waiting return stands and which steps are pending there.
bool RegisterSearch::Seen(uint32_t blocked_entry) {
  std::fill(key_.begin(), key_.end(), 0);
  key_[0] = uint64_t{blocked_entry} << 32 | state_;
  for (const uint32_t index : pending_) {
    const uint32_t slot = problem_.steps[index].slot;
    key_[1 + slot / 64] |= uint64_t{1} << (slot % 64);
  }
  const size_t classes = problem_.classes.size();
  for (size_t i = 0; counted_ && i < classes; ++i) {
    // Those that nobody can need any more are all the same.
    if (Wanted(problem_.classes[i].written)) key_[key_.size() - classes + i] = used_[i];
  }
  return !visited_.Add(key_);
}

// Whether a pending step, or an interrupted one, could go on with this value.
bool RegisterSearch::Useful(uint32_t value) const {
  if (problem_.values[value].maybe_needed > 0) return true;
  return std::any_of(pending_.begin(), pending_.end(), [&](uint32_t index) {
    const ListedStep& step = problem_.steps[index];
    return step.needs != Needs::kAnything && step.Fits(value);
  });
}

// Of a pending write that fits: whether placing it now, and not later, can lead anywhere else.
bool RegisterSearch::MayComeNext(const ListedStep& step) const {
  return step.needs != Needs::kAnything || Wanted(step.written) || Useful(step.written);
}

// The writes that may come next, those that let the blocked step go on first. None if nothing pending writes what it
// needs: then it cannot be over in time, whatever comes next.
void RegisterSearch::Propose(uint32_t blocked_entry) {
  const uint32_t blocked = problem_.entries[blocked_entry].step;
  const ListedStep& waiting = problem_.steps[blocked];
  const bool fits = waiting.Fits(state_);
  const size_t begin = candidates_.size();
  size_t first = begin;
  bool supplied = fits || waiting.optional;
  auto add = [&](uint32_t what, bool supplies) {
    candidates_.push_back(what);
    if (supplies) std::swap(candidates_[first++], candidates_.back());
  };
  if (waiting.writes && fits) add(blocked, true);
  for (const uint32_t index : pending_) {
    const ListedStep& step = problem_.steps[index];
    if (!step.writes || index == blocked) continue;
    const bool supplies = !fits && waiting.Fits(step.written);
    supplied |= supplies;
    if (step.Fits(state_) && MayComeNext(step)) add(index, supplies);
  }
  const bool hides = !problem_.classes.empty() && std::any_of(pending_.begin(), pending_.end(), [&](uint32_t index) {
    return MayBeHidden(problem_.steps[index]);
  });
  for (uint32_t i = 0; i < problem_.classes.size(); ++i) {
    const OpenClass& group = problem_.classes[i];
    const bool supplies = !fits && waiting.Fits(group.written);
    // Writing again what is there hides the pending writes that nobody waits for.
    const bool next = group.Fits(state_) && (group.written != state_ || hides) && Useful(group.written);
    if (!next && (!supplies || supplied)) continue;
    const uint32_t called = Called(group, problem_.entries[blocked_entry].time);
    if (called == 0) continue;
    if (limited_ && used_[i] >= called) {
      short_ = true;
      continue;
    }
    supplied |= supplies;
    if (next) add(i | kClassBit, supplies);
  }
  if (!supplied) candidates_.resize(begin);
  if (waiting.optional) add(blocked | kDroppedBit, false);
}

// Goes as far as there is no choice. True: everything is placed.
bool RegisterSearch::Enter() {
  ++states_;
  const uint32_t blocked_entry = Settle();
  if (blocked_entry == 0) return true;
  LookAround(blocked_entry);
  if (explanation_ != nullptr && limited_) Remember(problem_.entries[blocked_entry].step);
  const size_t begin = candidates_.size();
  if (!Seen(blocked_entry)) Propose(blocked_entry);
  frames_.push_back({trail_.size(), state_, blocked_entry, begin, begin, candidates_.size()});
  return false;
}

// To the next choice, the last ones first. False: none is left.
bool RegisterSearch::Advance() {
  while (!frames_.empty()) {
    Frame& frame = frames_.back();
    Undo(frame.trail);
    state_ = frame.state;
    if (frame.next == frame.end) {
      candidates_.resize(frame.begin);
      frames_.pop_back();
      continue;
    }
    if (Place(candidates_[frame.next++], frame.blocked)) return true;
  }
  return false;
}

// Pending writes that nobody waits for go right before an unconditional one, which hides them.
void RegisterSearch::Absorb(uint32_t blocked_entry, uint32_t except) {
  // By number, not until the blocked entry is met: it may be taken out on the way.
  for (uint32_t at = problem_.entries[0].next; at != 0 && at < blocked_entry; at = problem_.entries[at].next) {
    const uint32_t index = problem_.entries[at].step;
    if (index != except && MayBeHidden(problem_.steps[index])) Lift(index);
  }
}

// Whether all who must still see a value that is not there may do so: is anybody left to write it?
bool RegisterSearch::StaysWritable(uint32_t value) {
  if (left_[value].readers == 0 || left_[value].writers > 0) return true;
  short_ |= std::any_of(problem_.classes.begin(), problem_.classes.end(),
                        [&](const OpenClass& group) { return group.written == value; });
  return false;
}

// False: the value that was there is left, though somebody must still see it and nobody will write it again.
bool RegisterSearch::Place(uint32_t what, uint32_t blocked_entry) {
  const uint32_t from = state_;
  if (what & kClassBit) {
    const OpenClass& group = problem_.classes[what & ~kClassBit];
    if (group.needs == Needs::kAnything) Absorb(blocked_entry, what);
    ++used_[what & ~kClassBit];
    if (limited_) --left_[group.written].writers;  // else there is always one more
    trail_.push_back(what);
    state_ = group.written;
  } else if (what & kDroppedBit) {
    Lift(what & ~kDroppedBit, kDroppedBit);
    const uint32_t lost = problem_.steps[what & ~kDroppedBit].written;
    return lost == state_ || StaysWritable(lost);
  } else {
    const ListedStep& step = problem_.steps[what];
    if (step.needs == Needs::kAnything) Absorb(blocked_entry, what);
    Lift(what);
    state_ = step.written;
  }
  // Without this the longest order is longer, and easier to understand.
  if (explanation_ != nullptr) return true;
  return state_ == from || StaysWritable(from);
}

// Keeps the longest order so far. An order that was not limited may hold a step twice, and is none.
void RegisterSearch::Remember(uint32_t blocked) {
  std::vector<uint32_t> order, used(problem_.classes.size());
  for (const uint32_t what : trail_) {
    if (what & kClassBit) {
      const uint32_t group = what & ~kClassBit;
      order.push_back(problem_.open[problem_.classes[group].begin + used[group]++].source);
    } else if (!(what & kDroppedBit)) {
      order.push_back(problem_.steps[what].source);
    }
  }
  if (states_ > 1 && order.size() <= explanation_->order.size()) return;
  *explanation_ = {std::move(order), problem_.steps[blocked].source, problem_.values[state_].value};
}

}  // namespace lightning::faults
