#include "faults/sim/minimise.h"

#include "faults/plan/shrink.h"

namespace lightning::faults {

SimFailure Minimise(const SimFailure& failure, const TrySimulation& attempt, double seconds) {
  SimFailure best = failure;
  const TryPlan still = [&](const Plan& plan) -> std::optional<Plan> {
    std::optional<SimFailure> its = attempt(plan);
    if (!its) return std::nullopt;
    best = std::move(*its);
    return best.plan;
  };
  Shrink(failure.plan, still, seconds);
  return best;
}

std::optional<SimFailure> FailsAlike(const Plan& plan, const std::string& kind, const SimOptions& options) {
  SimOptions one = options;
  one.quiet = true;
  one.twice = false;
  one.seconds = 20;
  const auto fails = [&](const Schedule& schedule, uint64_t schedules) -> std::optional<SimFailure> {
    one.plan = plan;
    one.plan->schedule = schedule;
    one.schedules = schedules;
    SimEngine engine(one);
    engine.Run();
    if (engine.failures().empty() || engine.failures()[0].kind != kind) return std::nullopt;
    return engine.failures()[0];
  };
  Schedule schedule = plan.schedule;
  if (std::optional<SimFailure> failure = fails(schedule, 1)) return failure;
  for (const uint32_t percent : {2u, 10u, 30u}) {
    schedule.strategy = Schedule::kRandom;
    schedule.percent = percent;
    schedule.steps.clear();
    if (std::optional<SimFailure> failure = fails(schedule, options.crash_states ? 15 : 300)) return failure;
  }
  return std::nullopt;
}

}  // namespace lightning::faults
