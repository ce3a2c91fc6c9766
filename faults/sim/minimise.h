// Makes a failing plan small (plan/shrink.h). A part that is left out may change which schedule fails, so a smaller
// plan is tried with its own schedule first, then with some others.
#pragma once

#include <functional>

#include "faults/sim/sim_engine.h"

namespace lightning::faults {

// Tries a plan: a failure of the same kind that replays, or nothing.
using TrySimulation = std::function<std::optional<SimFailure>(const Plan&)>;

// For about so many seconds. `failure.plan` fails by `attempt`.
SimFailure Minimise(const SimFailure& failure, const TrySimulation& attempt, double seconds);

// The plan's own schedule, then others; with the crash states that `options` asks for.
std::optional<SimFailure> FailsAlike(const Plan& plan, const std::string& kind, const SimOptions& options);

}  // namespace lightning::faults
