// From a plan to the marker before the first operation that is stepped.
#include "faults/engine/step_scene.h"

#include <fmt/format.h>

#include "faults/engine/moment_counter.h"
#include "faults/plan/plan_segment.h"

namespace lightning::faults {

std::vector<std::string> VictimArguments(const PlanFile& plan, const std::string& client, const std::string& path,
                                         Isolation isolation) {
  return {"lightning-faults",      "victim", "--plan", plan.path(), "--client", client, "--path", path, "--mode",
          IsolationName(isolation)};
}

std::string StepEngine::StartProcess(Scene& scene, Tracee& tracee, const std::string& client) {
  const Isolation isolation = isolation_ == Isolation::kNone ? scene.plan.segment.isolation : isolation_;
  std::string error =
      tracee.Start(VictimProgram(), VictimArguments(scene.plan_file, client, scene.file->path(), isolation));
  if (error.empty()) error = tracee.RunToMarker();
  return error;
}

// Every client comes and does what it does before anything is counted.
std::string StepEngine::StartAll(Scene& scene, const Plan& plan) {
  const Result<Store> store = Store::Open(scene.file->path(), scene.file->options());
  if (!store.ok()) return "opening the segment: " + store.status().ToString();
  scene.by_client.resize(plan.clients.size());
  scene.process_of.resize(plan.clients.size());
  const size_t stepped = SteppedClient(plan);
  for (size_t i = 0; i < plan.clients.size(); ++i) {
    const PlanClient& client = scene.plan.clients[i];
    if (i == stepped || IsKilledBefore(plan, i)) {
      scene.process_of[i] = &scene.processes.emplace_back();
      const std::string error = StartProcess(scene, *scene.process_of[i], client.name);
      if (!error.empty()) return error;
    } else {
      scene.by_client[i] = &scene.bystanders.emplace_back(*store, client);
      const Status status = scene.by_client[i]->Begin();
      if (!status.ok()) return fmt::format("attaching {}: {}", client.name, status.ToString());
    }
  }
  scene.victim = scene.process_of[stepped];
  return "";
}

// A client is stepped until one of its kills, and killed there; or after all its operations, if those come first.
std::string StepEngine::KillInside(Scene& scene, const Plan& plan, size_t client) {
  Tracee& tracee = *scene.process_of[client];
  std::vector<MomentCounter> kills;
  for (const PlanKill& kill : plan.kills) {
    if (kill.client == plan.clients[client].name) kills.emplace_back(kill.at);
  }
  const Segment& segment = scene.file->segment();
  Stepper stepper(tracee, segment, scene.file->path(), &words_);
  StepCounts counts;
  bool reached = false, ended = true;
  auto on_change = [&](uint64_t instruction, uint64_t) {
    for (MomentCounter& kill : kills) {
      kill.Note(segment, instruction, stepper.changes());
      reached |= kill.reached();
    }
    return !reached;
  };
  const size_t operations = plan.clients[client].operations.size();
  std::string error;
  for (size_t i = 0; i < operations && error.empty() && !reached; ++i) {
    for (int marker = 0; marker < (i == 0 ? 0 : 2) && error.empty(); ++marker) error = tracee.RunToMarker();
    if (!error.empty()) break;
    stepper.Resync();
    error = stepper.Run(counts.instructions + kTooManyInstructions, on_change, &counts, &ended);
  }
  figures_.instructions += counts.instructions;
  record_.Fold(stepper.trace(), /*judged=*/false);
  tracee.Kill();
  return error;
}

// The clients in front of the stepped one, one after the other.
std::string StepEngine::RunUpTo(Scene& scene, const Plan& plan) {
  for (size_t i = 0; i < SteppedClient(plan); ++i) {
    if (scene.process_of[i] != nullptr) {
      const std::string error = KillInside(scene, plan, i);
      if (!error.empty()) return fmt::format("client {}: {}", plan.clients[i].name, error);
      continue;
    }
    for (size_t operation = 0; operation < plan.clients[i].operations.size(); ++operation) {
      scene.by_client[i]->Do(operation);
      scene.by_client[i]->Settle(operation);
    }
  }
  return "";
}

std::string StepEngine::SetUpChecker(Scene& scene, const Plan& plan) {
  JudgeOptions& judge = scene.judge;
  for (PlanRunner& bystander : scene.bystanders) {
    if (bystander.client() == nullptr) continue;
    judge.alive.push_back(SlotOf(*bystander.client()));
    for (const PinnedObject& its : bystander.Pinned(plan)) {
      const bool known = std::any_of(judge.pinned.begin(), judge.pinned.end(), [&](const PinnedObject& other) {
        return other.key == its.key && other.version == its.version;
      });
      if (!known) judge.pinned.push_back(its);
    }
    for (NamedItem& item : bystander.Reserved()) judge.reserved.push_back(std::move(item));
  }
  judge.evicts = plan.segment.eviction == Eviction::kLru;
  for (size_t i = 0; i < plan.clients.size(); ++i) judge.somebody_died |= IsKilledBefore(plan, i);
  scene.checker.emplace(scene.file->segment().geometry(), judge);
  scene.outcomes.emplace(plan);
  return "";
}

std::string StepEngine::Prepare(Scene& scene, const Plan& plan) {
  scene.plan = plan;
  const size_t stepped = SteppedClient(plan);
  if (stepped == plan.clients.size()) return "no client of the plan has an operation to step";
  for (size_t i = 0; i < stepped; ++i) {
    if (IsKilledBefore(plan, i) && plan.segment.eviction != Eviction::kNone)
      return "evictions after a death depend on what the dead had read: this engine cannot judge them";
  }
  for (const PlanKill& kill : plan.kills) {
    if (!MomentCounter::Knows(kill.at.unit)) return "this engine does not count points";
  }
  Result<Options> options = SegmentOptions(plan.segment);
  if (!options.ok()) return "making the segment: " + options.status().ToString();
  options->isolation = Isolation::kNone;  // of the bystanders; a process has its own
  Result<std::unique_ptr<FileSegment>> file = FileSegment::Create(*options);
  if (!file.ok()) return "making the segment: " + file.status().ToString();
  scene.file = std::move(*file);
  std::string error = scene.plan_file.Write(plan);
  if (error.empty()) error = StartAll(scene, plan);
  if (error.empty()) error = RunUpTo(scene, plan);
  if (error.empty()) error = SetUpChecker(scene, plan);
  if (error.empty()) scene.stepper.emplace(*scene.victim, scene.file->segment(), scene.file->path(), &words_);
  return error;
}

}  // namespace lightning::faults
