#include "faults/check/smallest_part.h"

#include <algorithm>
#include <chrono>

namespace lightning::faults {
namespace {

using Clock = std::chrono::steady_clock;
using Indices = std::vector<uint32_t>;

constexpr size_t kFew = 500;

bool MayWrite(const RegisterOperation& o) {
  switch (o.kind) {
    case RegisterKind::kGet:
    case RegisterKind::kContains:
      return false;
    case RegisterKind::kPut:
      return true;
    case RegisterKind::kReplace:
    case RegisterKind::kDelete:
      break;
  }
  return !o.Returned() || o.answer != RegisterAnswer::kNo;
}

// What is there after a write.
uint64_t Written(const RegisterOperation& o) { return o.kind == RegisterKind::kDelete ? kAbsent : o.value; }

// Whether an operation says that a certain value was there, or that some other was.
enum class Saw { kNothing, kThis, kOther };
Saw WhatItSaw(const RegisterOperation& o, uint64_t* value) {
  const bool yes = o.answer == RegisterAnswer::kYes;
  *value = kAbsent;
  if (!o.Returned()) return Saw::kNothing;
  switch (o.kind) {
    case RegisterKind::kGet:
      *value = o.value;
      return Saw::kThis;
    case RegisterKind::kReplace:
      *value = o.expected;
      return yes ? Saw::kThis : Saw::kOther;
    case RegisterKind::kContains:
      return yes ? Saw::kOther : Saw::kThis;
    case RegisterKind::kDelete:
      return o.answer == RegisterAnswer::kNone ? Saw::kNothing : yes ? Saw::kOther : Saw::kThis;
    case RegisterKind::kPut:
      break;
  }
  return Saw::kNothing;
}

class Shrinker {
 public:
  Shrinker(std::span<const RegisterOperation> operations, const SearchBudget& budget, uint64_t initial)
      : operations_(operations), budget_(budget), initial_(initial), required_(operations.size()) {
    if (budget.seconds > 0)
      deadline_ =
          Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(budget.seconds));
  }

  // Empty: not illegal.
  Indices Run() {
    Indices part;
    for (uint32_t i = 0; i < operations_.size(); ++i) {
      if (operations_[i].Returned()) part.push_back(i);
    }
    std::sort(part.begin(), part.end(),
              [&](uint32_t a, uint32_t b) { return operations_[a].ret < operations_[b].ret; });
    if (!IsIllegal(part)) return {};
    // The more must happen, the more is illegal: the shortest beginning that is, and of that the shortest end.
    part.resize(Least(0, part.size(), [&](size_t n) { return Indices(part.begin(), part.begin() + Offset(n)); }));
    // Of a few operations each is tried by itself, so that the best may stay; of many only the latest.
    const bool many = part.size() > kFew;
    if (many) {
      const size_t kept = Least(0, part.size(), [&](size_t n) { return Indices(part.end() - Offset(n), part.end()); });
      part.erase(part.begin(), part.end() - Offset(kept));
    }
    // Rather without reads than without writes, without what needs others to be understood, without what came early.
    std::stable_sort(part.begin(), part.end(), [&](uint32_t a, uint32_t b) { return Worth(a) < Worth(b); });
    for (size_t chunk = many ? std::max<size_t>(1, part.size() / 2) : 1;; chunk /= 2) {
      DropChunks(&part, chunk);
      if (chunk == 1) return part;
    }
  }

 private:
  int Worth(uint32_t i) const {
    uint64_t value;
    if (!MayWrite(operations_[i])) return 0;
    return WhatItSaw(operations_[i], &value) == Saw::kNothing ? 2 : 1;
  }
  static std::ptrdiff_t Offset(size_t n) { return static_cast<std::ptrdiff_t>(n); }

  // The least n for which make(n) is illegal; make(most) is.
  template <typename Make>
  size_t Least(size_t least, size_t most, const Make& make) {
    while (least < most) {
      const size_t middle = least + (most - least) / 2;
      if (IsIllegal(make(middle)))
        most = middle;
      else
        least = middle + 1;
    }
    return most;
  }

  void DropChunks(Indices* part, size_t chunk) {
    for (size_t at = 0; at < part->size();) {
      Indices rest(part->begin(), part->begin() + Offset(at));
      rest.insert(rest.end(), part->begin() + Offset(std::min(at + chunk, part->size())), part->end());
      if (IsIllegal(rest))
        *part = std::move(rest);
      else
        at += chunk;
    }
  }

  // These must happen; other writes may.
  bool IsIllegal(const Indices& part) {
    if (part.empty()) return false;
    SearchBudget left = budget_;
    if (budget_.seconds > 0) {
      left.seconds = std::chrono::duration<double>(deadline_ - Clock::now()).count();
      if (left.seconds <= 0) return false;
    }
    std::fill(required_.begin(), required_.end(), false);
    uint64_t last = 0;
    for (const uint32_t i : part) {
      required_[i] = true;
      last = std::max(last, operations_[i].ret);
    }
    weakened_.clear();
    for (uint32_t i = 0; i < operations_.size(); ++i) {
      const RegisterOperation& o = operations_[i];
      if (!required_[i] && (!MayWrite(o) || o.call > last)) continue;
      weakened_.push_back(o);
      if (!required_[i]) weakened_.back().interrupted = true;
    }
    return checker_.CheckRegister(weakened_, left, initial_) == Verdict::kIllegal;
  }

  const std::span<const RegisterOperation> operations_;
  const SearchBudget budget_;
  const uint64_t initial_;
  Clock::time_point deadline_;
  LinearizabilityChecker checker_;
  std::vector<bool> required_;
  std::vector<RegisterOperation> weakened_;
};

// Adds who wrote what the others saw.
class Sources {
 public:
  Sources(std::span<const RegisterOperation> operations, uint64_t initial, Indices* part)
      : operations_(operations), initial_(initial), part_(*part) {}

  void Add() {
    // Whoever comes in may replace what another saw, which then needs a writer too.
    for (size_t before = 0; before != part_.size();) {
      before = part_.size();
      for (size_t i = 0; i < part_.size(); ++i) {
        const uint32_t reader = part_[i];
        uint64_t value;
        const Saw saw = WhatItSaw(operations_[reader], &value);
        if (saw == Saw::kNothing) continue;
        const bool at_first = (initial_ == value) == (saw == Saw::kThis);
        const uint32_t writer = Writer(reader, saw, value, at_first);
        if (writer != kNone) part_.push_back(writer);
      }
    }
  }

 private:
  static constexpr uint32_t kNone = ~uint32_t{0};

  // Replaced for sure before the reader looked, by one of the part.
  bool IsOver(uint64_t ret, uint32_t reader) const {
    return std::any_of(part_.begin(), part_.end(), [&](uint32_t i) {
      const RegisterOperation& o = operations_[i];
      return o.Returned() && MayWrite(o) && ret < o.call && o.ret < operations_[reader].call;
    });
  }

  // The latest that can be what the reader saw; if none can, the earliest. kNone when the part has one, or needs none.
  uint32_t Writer(uint32_t reader, Saw saw, uint64_t value, bool at_first) const {
    uint32_t fair = kNone, any = kNone;
    bool has_any = false;
    for (uint32_t i = 0; i < operations_.size(); ++i) {
      const RegisterOperation& o = operations_[i];
      if (i == reader || !MayWrite(o) || (Written(o) == value) != (saw == Saw::kThis)) continue;
      const bool could = o.call <= operations_[reader].ret && !IsOver(o.ret, reader);
      const bool has = std::find(part_.begin(), part_.end(), i) != part_.end();
      if (has && could) return kNone;
      has_any |= has;
      if (could && (fair == kNone || operations_[fair].call < o.call)) fair = i;
      if (any == kNone || o.call < operations_[any].call) any = i;
    }
    if (!at_first) return fair != kNone ? fair : has_any ? kNone : any;
    // What was there at first explains it, unless it was replaced.
    const bool replaced = std::any_of(part_.begin(), part_.end(), [&](uint32_t i) {
      const RegisterOperation& o = operations_[i];
      return o.Returned() && MayWrite(o) && o.ret < operations_[reader].call;
    });
    return replaced ? fair : kNone;
  }

  const std::span<const RegisterOperation> operations_;
  const uint64_t initial_;
  Indices& part_;
};

}  // namespace

SmallestPart FindSmallestPart(std::span<const RegisterOperation> operations, const SearchBudget& budget,
                              uint64_t initial) {
  SmallestPart result;
  Indices part = Shrinker(operations, budget, initial).Run();
  if (part.empty()) return result;
  Sources(operations, initial, &part).Add();
  std::sort(part.begin(), part.end(), [&](uint32_t a, uint32_t b) {
    return operations[a].call != operations[b].call ? operations[a].call < operations[b].call : a < b;
  });
  std::vector<RegisterOperation> its;
  for (const uint32_t i : part) its.push_back(operations[i]);
  LinearizabilityChecker().Explain(its, budget, initial, &result.explanation);
  for (uint32_t& i : result.explanation.order) i = part[i];
  result.explanation.stuck = part[result.explanation.stuck];
  result.operations = std::move(part);
  return result;
}

}  // namespace lightning::faults
