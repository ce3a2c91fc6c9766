#include "faults/check/every_order.h"

#include <vector>

namespace lightning::faults {

using Kind = RegisterKind;
using Answer = RegisterAnswer;

std::optional<uint64_t> ApplyToRegister(const RegisterOperation& o, uint64_t value) {
  switch (o.kind) {
    case Kind::kGet:
      if (o.Returned() && o.value != value) return {};
      return value;
    case Kind::kContains:
      if (o.Returned() && (o.answer == Answer::kYes) != (value != kAbsent)) return {};
      return value;
    case Kind::kPut:
      return o.value;
    case Kind::kReplace:
      if (o.Returned() && (o.answer == Answer::kYes) != (value == o.expected)) return {};
      return value == o.expected ? o.value : value;
    case Kind::kDelete:
      if (o.Returned() && o.answer != Answer::kNone && (o.answer == Answer::kYes) != (value != kAbsent)) return {};
      return kAbsent;
  }
  return {};
}

namespace {

bool EveryOrder(std::span<const RegisterOperation> operations, std::vector<bool>* placed, uint64_t value) {
  bool left = false;
  for (size_t i = 0; i < operations.size(); ++i) left = left || (!(*placed)[i] && operations[i].Returned());
  if (!left) return true;
  for (size_t i = 0; i < operations.size(); ++i) {
    if ((*placed)[i]) continue;
    bool first = true;  // nobody who is not placed had returned before this was called, nor died
    std::vector<size_t> dropped;
    for (size_t j = 0; j < operations.size(); ++j) {
      if (j == i || (*placed)[j] || operations[j].ret >= operations[i].call) continue;
      if (operations[j].Returned()) first = false;
      dropped.push_back(j);
    }
    const std::optional<uint64_t> next = ApplyToRegister(operations[i], value);
    if (!first || !next) continue;
    std::vector<bool> then = *placed;
    then[i] = true;
    for (const size_t j : dropped) then[j] = true;
    if (EveryOrder(operations, &then, *next)) return true;
  }
  return false;
}

}  // namespace

Verdict CheckByEveryOrder(std::span<const RegisterOperation> operations, uint64_t initial) {
  std::vector<bool> placed(operations.size());
  return EveryOrder(operations, &placed, initial) ? Verdict::kOk : Verdict::kIllegal;
}

}  // namespace lightning::faults
