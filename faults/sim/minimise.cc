#include "faults/sim/minimise.h"

#include <algorithm>

#include "faults/report/progress.h"

namespace lightning::faults {
namespace {

class Minimiser {
 public:
  Minimiser(const SimFailure& failure, const TryPlan& attempt, double seconds)
      : best_(failure),
        attempt_(attempt),
        end_(Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds))) {}

  SimFailure Run() {
    // Again and again, since each part that goes may let others go.
    for (bool smaller = true; smaller && !Over();) {
      smaller = false;
      smaller |= DropAll(
          best_.plan.recoverers, [](Plan & plan) -> auto& { return plan.recoverers; });
      smaller |= DropAll(
          best_.plan.stops, [](Plan & plan) -> auto& { return plan.stops; });
      smaller |= DropAll(
          best_.plan.strays, [](Plan & plan) -> auto& { return plan.strays; });
      smaller |= DropAll(
          best_.plan.kills, [](Plan & plan) -> auto& { return plan.kills; });
      smaller |= DropClients();
      for (size_t client = 0; client < best_.plan.clients.size(); ++client) {
        smaller |= DropParts([client](Plan & plan) -> auto& { return plan.clients[client].operations; });
        smaller |= DropParts([client](Plan & plan) -> auto& { return plan.clients[client].before; });
      }
      smaller |= DropParts([](Plan & plan) -> auto& { return plan.schedule.steps; });
    }
    return best_;
  }

 private:
  bool Over() const { return Clock::now() >= end_; }
  bool Try(const Plan& plan) {
    // No such plan: somebody has to live.
    if (!plan.recoverers.empty() && plan.recoverers.back().killed) return false;
    std::optional<SimFailure> failure = attempt_(plan);
    if (!failure) return false;
    best_ = std::move(*failure);
    return true;
  }

  template <typename T, typename Of>
  bool DropAll(const std::vector<T>& parts, Of of) {
    return !parts.empty() && DropParts(of);
  }

  // Leaves out halves, quarters, ... single ones of what `of` names.
  template <typename Of>
  bool DropParts(Of of) {
    bool smaller = false;
    for (size_t some = std::max<size_t>(1, of(best_.plan).size() / 2); some >= 1 && !Over(); some /= 2) {
      for (size_t at = 0; at < of(best_.plan).size() && !Over();) {
        Plan plan = best_.plan;
        auto& parts = of(plan);
        const auto first = parts.begin() + static_cast<std::ptrdiff_t>(at);
        parts.erase(first, first + static_cast<std::ptrdiff_t>(std::min(some, parts.size() - at)));
        if (Try(plan)) {
          smaller = true;
        } else {
          at += some;
        }
      }
    }
    return smaller;
  }

  bool DropClients() {
    bool smaller = false;
    for (uint32_t client = 0; client < best_.plan.clients.size() && best_.plan.clients.size() > 1 && !Over();) {
      Plan plan = best_.plan;
      const std::string name = plan.clients[client].name;
      plan.clients.erase(plan.clients.begin() + client);
      const auto its = [&](const auto& part) { return part.client == name; };
      std::erase_if(plan.kills, its);
      std::erase_if(plan.stops, its);
      std::erase_if(plan.strays, its);
      std::erase_if(plan.schedule.steps, [&](const ScheduleStep& step) { return step.client == client; });
      for (ScheduleStep& step : plan.schedule.steps) step.client -= step.client > client ? 1 : 0;
      if (Try(plan)) {
        smaller = true;
      } else {
        ++client;
      }
    }
    return smaller;
  }

  SimFailure best_;
  const TryPlan& attempt_;
  const Clock::time_point end_;
};

}  // namespace

SimFailure Minimise(const SimFailure& failure, const TryPlan& attempt, double seconds) {
  return Minimiser(failure, attempt, seconds).Run();
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
