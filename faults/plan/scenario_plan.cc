// The named scenarios of the step engine as plans.
#include "faults/model/random.h"
#include "faults/plan/step_plan.h"

namespace lightning::faults {
namespace {

std::vector<PlanOperation> SetupOf(const std::vector<SetupStep>& steps) {
  std::vector<PlanOperation> operations;
  for (const SetupStep& step : steps) {
    switch (step.kind) {
      case SetupStep::kPut:
        operations.push_back({Action::kPut, {step.object}, 0});
        break;
      case SetupStep::kDelete:
        operations.push_back({Action::kDelete, {{step.object.key, {}}}, 0});
        break;
      case SetupStep::kPin:
        operations.push_back({Action::kPin, {{step.object.key, {}}}, 0});
        break;
      case SetupStep::kSubscribe:
        operations.push_back({Action::kSubscribe, {}, 0});
        break;
      case SetupStep::kCreate:
        operations.push_back({Action::kCreate, {step.object}, 0});
        break;
    }
  }
  return operations;
}

std::vector<PlanOperation> OperationsOf(const StepPlan& plan) {
  const std::vector<NamedItem>& items = plan.objects;
  switch (plan.kind) {
    case StepKind::kPut:
      return {{Action::kPut, items, 0}};
    case StepKind::kReplace:
      return {{Action::kReplace, items, 0}};
    case StepKind::kPutBatch:
      return {{Action::kPutBatch, items, 0}};
    case StepKind::kCreateSeal:
      return {{Action::kCreate, items, 0}, {Action::kSeal, {{items[0].key, {}}}, 0}};
    case StepKind::kCreateAbort:
      return {{Action::kCreate, items, 0}, {Action::kAbort, {{items[0].key, {}}}, 0}};
    case StepKind::kDelete:
      return {{Action::kDelete, {{items[0].key, {}}}, 0}};
    case StepKind::kEvict:
      return {{Action::kEvict, {}, plan.evict_bytes}};
    case StepKind::kSubscribe:
      return {{Action::kSubscribe, {}, 0}};
    case StepKind::kUnsubscribe:
      return {{Action::kUnsubscribe, {}, 0}};
    case StepKind::kAttach:
      return {{Action::kAttach, {}, 0}};
    case StepKind::kDetach:
      return {{Action::kDetach, {}, 0}};
    case StepKind::kRecover:
      return {{Action::kRecover, {}, 0}};
  }
  return {};
}

// Mostly inside a transaction, where there is something to undo.
Moment DeathInside(uint64_t seed) {
  Random random(MixSeeds(seed, 3));
  const uint64_t kind = random.Below(100);
  if (kind < 55) return {Moment::kLogEntry, 1 + random.Below(40)};
  if (kind < 80) return {Moment::kStore, 1 + random.Below(150)};
  if (kind < 90) return {Moment::kUnlock, 1 + random.Below(3)};
  return {Moment::kCommit, 1 + random.Below(2)};
}

}  // namespace

Plan ScenarioPlan(std::string_view name, uint64_t seed) {
  const StepPlan step = MakeStepPlan(name, seed);
  Plan plan;
  plan.seed = seed;
  plan.engine = Engine::kStep;
  plan.segment.max_objects = step.options.max_objects;
  plan.segment.max_clients = step.options.max_clients;
  plan.segment.max_pins = step.options.max_pins;
  plan.segment.event_slots = step.options.event_slots;
  plan.segment.heap = step.heap;
  plan.segment.eviction = step.options.eviction;
  plan.segment.hash_seed = step.options.hash_seed;
  plan.clients.push_back({"bystander", SetupOf(step.bystander), {}});
  if (!step.dead_operation.empty()) {
    const StepPlan dead = MakeStepPlan(step.dead_operation, step.dead_seed);
    plan.clients.push_back({"dead", SetupOf(dead.victim), OperationsOf(dead)});
    plan.kills.push_back({"dead", DeathInside(seed)});
  }
  plan.clients.push_back({"victim", SetupOf(step.victim), OperationsOf(step)});
  return plan;
}

}  // namespace lightning::faults
