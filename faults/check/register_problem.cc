#include "faults/check/register_problem.h"

#include <algorithm>
#include <bit>
#include <tuple>

#include "store/segment/segment.h"

namespace lightning::faults {
namespace {

// Each round of pruning may allow more; stopping early costs time later, and nothing else.
constexpr int kPruneRounds = 16;

}  // namespace

uint32_t RegisterProblem::ValueId(uint64_t value) {
  const uint64_t mask = table_.size() - 1;
  for (uint64_t at = (value * 0x9E37'79B9'7F4A'7C15) >> 20;; ++at) {
    ValueSlot& slot = table_[at & mask];
    if (slot.generation != generation_) {
      slot = {generation_, value, static_cast<uint32_t>(values.size())};
      values.push_back({value});
      return slot.id;
    }
    if (slot.value == value) return slot.id;
  }
}

RegisterStep RegisterProblem::StepOf(const RegisterOperation& operation) {
  RegisterStep step;
  step.call = operation.call;
  step.ret = operation.ret;
  step.optional = !operation.Returned();
  const bool yes = operation.answer == RegisterAnswer::kYes;
  switch (operation.kind) {
    case RegisterKind::kGet:
      step.needs = Needs::kEqual;
      step.needed = ValueId(operation.value);
      break;
    case RegisterKind::kContains:
      step.needs = yes ? Needs::kOther : Needs::kEqual;
      step.needed = ValueId(kAbsent);
      break;
    case RegisterKind::kPut:
      step.writes = true;
      step.written = ValueId(operation.value);
      break;
    case RegisterKind::kReplace:
      step.needed = ValueId(operation.expected);
      step.needs = yes || step.optional ? Needs::kEqual : Needs::kOther;
      step.writes = step.needs == Needs::kEqual && operation.value != operation.expected;
      if (step.writes) step.written = ValueId(operation.value);
      break;
    case RegisterKind::kDelete:
      step.written = step.needed = ValueId(kAbsent);
      if (operation.answer != RegisterAnswer::kNone && !step.optional) step.needs = yes ? Needs::kOther : Needs::kEqual;
      step.writes = step.needs != Needs::kEqual;
      break;
  }
  return step;
}

void RegisterProblem::Count(const RegisterStep& step) {
  if (step.writes) ++values[step.written].writers;
  if (step.needs == Needs::kEqual) {
    ValueFacts& facts = values[step.needed];
    if (step.optional) {
      ++facts.maybe_needed;
    } else {
      ++facts.readers;
      facts.first_return = std::min(facts.first_return, step.ret);
    }
  } else if (step.needs == Needs::kOther) {
    if (step.optional)
      maybe_other = true;
    else
      ++other_readers;
  }
}

// One round over the open-ended writes: drops one whose value helps nobody, and gives the only writer of a value that
// was seen the time until which it must have happened. False when nothing changed.
bool RegisterProblem::Prune() {
  const size_t before = open.size();
  const bool any_helps = other_readers > 0 || maybe_other;
  std::erase_if(open, [&](const RegisterStep& step) {
    ValueFacts& facts = values[step.written];
    if (!any_helps && facts.readers == 0 && facts.maybe_needed == 0) {
      --facts.writers;
      if (step.needs == Needs::kEqual) --values[step.needed].maybe_needed;
      return true;
    }
    if (facts.writers != 1 || facts.readers == 0 || step.written == initial || facts.first_return < step.call)
      return false;
    ListedStep listed{step};
    listed.optional = false;
    listed.ret = facts.first_return;
    if (step.needs == Needs::kEqual) {
      ValueFacts& needed = values[step.needed];
      --needed.maybe_needed;
      ++needed.readers;
      needed.first_return = std::min(needed.first_return, listed.ret);
    }
    steps.push_back(listed);
    return true;
  });
  return open.size() != before;
}

void RegisterProblem::MakeClasses() {
  auto same = [](const RegisterStep& step) { return std::tuple(step.needs, step.needed, step.written); };
  std::sort(open.begin(), open.end(), [&](const RegisterStep& a, const RegisterStep& b) {
    return std::tuple(same(a), a.call, a.source) < std::tuple(same(b), b.call, b.source);
  });
  for (uint32_t i = 0; i < open.size(); ++i) {
    if (i == 0 || same(open[i]) != same(open[i - 1]))
      classes.push_back({open[i].needs, open[i].needed, open[i].written, i, i});
    classes.back().end = i + 1;
  }
}

void RegisterProblem::MakeList() {
  entries.assign(1, {});
  for (uint32_t i = 0; i < steps.size(); ++i) {
    entries.push_back({steps[i].call, i, false, 0, 0});
    entries.push_back({steps[i].ret, i, true, 0, 0});
  }
  std::sort(entries.begin() + 1, entries.end(), [](const ListEntry& a, const ListEntry& b) {
    return a.time != b.time ? a.time < b.time : std::tuple(a.is_return, a.step) < std::tuple(b.is_return, b.step);
  });
  const auto count = static_cast<uint32_t>(entries.size());
  for (uint32_t i = 0; i < count; ++i) {
    ListEntry& entry = entries[i];
    entry.next = i + 1 < count ? i + 1 : 0;
    entry.prev = i > 0 ? i - 1 : count - 1;
    if (i > 0) (entry.is_return ? steps[entry.step].return_entry : steps[entry.step].call_entry) = i;
  }
}

void RegisterProblem::GiveSlots() {
  slots = 0;
  free_slots_.clear();
  for (uint32_t i = 1; i < entries.size(); ++i) {
    ListedStep& step = steps[entries[i].step];
    if (entries[i].is_return) {
      free_slots_.push_back(step.slot);
    } else if (free_slots_.empty()) {
      step.slot = slots++;
    } else {
      step.slot = free_slots_.back();
      free_slots_.pop_back();
    }
  }
}

void RegisterProblem::Build(std::span<const RegisterOperation> operations, uint64_t first) {
  steps.clear();
  open.clear();
  classes.clear();
  values.clear();
  other_readers = 0;
  maybe_other = false;
  ++generation_;
  // At most two values an operation, absent and the first one; at least half of the table is free.
  if (const size_t size = std::bit_ceil(4 * operations.size() + 8); table_.size() < size) table_.assign(size, {});
  initial = ValueId(first);
  for (uint32_t i = 0; i < operations.size(); ++i) {
    const RegisterOperation& operation = operations[i];
    const bool asks = operation.kind == RegisterKind::kContains || operation.kind == RegisterKind::kReplace;
    LIGHTNING_ASSERT(operation.ret >= operation.call);
    LIGHTNING_ASSERT(!asks || !operation.Returned() || operation.answer != RegisterAnswer::kNone);
    RegisterStep step = StepOf(operation);
    if (step.optional && !step.writes) continue;
    step.source = i;
    Count(step);
    if (step.optional && step.ret == kNever)
      open.push_back(step);
    else
      steps.push_back({step});
  }
  for (int round = 0; !open.empty() && round < kPruneRounds && Prune(); ++round) {
  }
  MakeClasses();
  MakeList();
  GiveSlots();
}

}  // namespace lightning::faults
