// The text form of a plan: what people read, what a finding leaves behind, what a replay takes. docs/plan-format.md
// explains it to a reader who has never seen it. Thread-safe: no state.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "faults/plan/plan.h"

namespace lightning::faults {

inline constexpr size_t kMaxPlanText = size_t{16} << 20;  // bytes; a longer text is refused

struct PlanError {
  uint32_t line = 0, column = 0;  // from one; a column counts bytes
  std::string message;            // what is wrong, and what was expected instead
};

struct ParsedPlan {
  std::optional<Plan> plan;
  PlanError error;  // when there is no plan
  explicit operator bool() const { return plan.has_value(); }
};

// Refuses whatever no engine could run: unknown words, values out of the store's limits, clients that are not there.
ParsedPlan ParsePlan(std::string_view text);

// The canonical text: the same for equal plans, without defaults. ParsePlan gives the same plan again.
// REQUIRES: a plan such as ParsePlan gives: what an operation or a region does not use is at its default, `whole_pages`
// is set for exactly those creates that are of kWholePagesFrom bytes or more.
std::string PrintPlan(const Plan& plan);

// "LINE:COLUMN: message".
std::string ShowError(const PlanError& error);

}  // namespace lightning::faults
