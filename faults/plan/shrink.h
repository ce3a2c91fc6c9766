// Makes a failing plan small: fewer clients, operations, kills and turns, a smaller segment and smaller values, as long
// as it fails in the same way (delta debugging: Zeller, Hildebrandt, TSE 28, 2002).
#pragma once

#include <functional>
#include <optional>

#include "faults/plan/plan.h"

namespace lightning::faults {

// Tries a plan: the plan as it then fails in the same way (perhaps with another schedule), or nothing.
using TryPlan = std::function<std::optional<Plan>(const Plan&)>;

// The smallest that was found within so many seconds; an attempt under way is not cut off. `plan` fails by `attempt`.
Plan Shrink(const Plan& plan, const TryPlan& attempt, double seconds);

}  // namespace lightning::faults
