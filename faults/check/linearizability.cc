#include "faults/check/linearizability.h"

#include <algorithm>
#include <chrono>
#include <unordered_map>

#include "faults/check/register_search.h"

namespace lightning::faults {

std::string_view VerdictName(Verdict verdict) {
  switch (verdict) {
    case Verdict::kOk:
      return "ok";
    case Verdict::kIllegal:
      return "illegal";
    case Verdict::kUnknown:
      break;
  }
  return "unknown";
}

LinearizabilityChecker::LinearizabilityChecker() : search_(std::make_unique<RegisterSearch>()) {}
LinearizabilityChecker::~LinearizabilityChecker() = default;

Verdict LinearizabilityChecker::CheckRegister(std::span<const RegisterOperation> operations, const SearchBudget& budget,
                                              uint64_t initial) {
  return search_->Run(operations, budget, initial, nullptr);
}

Verdict LinearizabilityChecker::Explain(std::span<const RegisterOperation> operations, const SearchBudget& budget,
                                        uint64_t initial, Explanation* explanation) {
  return search_->Run(operations, budget, initial, explanation);
}

uint64_t LinearizabilityChecker::states() const { return search_->states(); }

KeyPartition::KeyPartition(std::span<const RegisterOperation> operations) : begin_(1) {
  std::unordered_map<uint64_t, uint32_t> keys;
  std::vector<uint32_t> key_of(operations.size());
  for (size_t i = 0; i < operations.size(); ++i) {
    key_of[i] = keys.try_emplace(operations[i].key, static_cast<uint32_t>(keys.size())).first->second;
    if (begin_.size() <= key_of[i] + 1) begin_.push_back(0);
    ++begin_[key_of[i] + 1];
  }
  for (size_t i = 1; i < begin_.size(); ++i) begin_[i] += begin_[i - 1];
  std::vector<size_t> at(begin_.begin(), begin_.end() - 1);
  order_.resize(operations.size());
  for (uint32_t i = 0; i < operations.size(); ++i) order_[at[key_of[i]]++] = i;
}

HistoryVerdict CheckHistory(std::span<const RegisterOperation> operations, const SearchBudget& budget) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point begin = Clock::now();
  const KeyPartition keys(operations);
  LinearizabilityChecker checker;
  std::vector<RegisterOperation> its;
  HistoryVerdict result;
  result.keys = keys.size();
  for (size_t i = 0; i < keys.size(); ++i) {
    SearchBudget left = budget;
    if (budget.states != 0) left.states = budget.states - std::min(budget.states - 1, result.states);
    if (budget.seconds > 0) {
      const double spent = std::chrono::duration<double>(Clock::now() - begin).count();
      left.seconds = std::max(1e-9, budget.seconds - spent);
    }
    its.clear();
    for (const uint32_t at : keys.Key(i)) its.push_back(operations[at]);
    const Verdict verdict = checker.CheckRegister(its, left);
    result.states += checker.states();
    if (verdict == Verdict::kOk || (verdict == Verdict::kUnknown && result.verdict == Verdict::kUnknown)) continue;
    result.verdict = verdict;
    result.failing.assign(keys.Key(i).begin(), keys.Key(i).end());
    if (verdict == Verdict::kIllegal) break;
  }
  return result;
}

}  // namespace lightning::faults
