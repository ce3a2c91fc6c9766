#include "faults/engine/step_engine.h"

#include <fmt/format.h>

#include <optional>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "faults/check/image_checker.h"
#include "faults/engine/stepper.h"
#include "faults/engine/victim.h"
#include "faults/model/random.h"
#include "faults/report/progress.h"
#include "faults/report/source_line.h"
#include "store/index/object.h"
#include "store/log/words.h"

namespace lightning::faults {
namespace {

// Far more than any operation takes on a small segment: a loop that does not end is a failure too.
constexpr uint64_t kTooLong = 20'000'000;

}  // namespace

struct StepEngine::Scene {
  StepPlan plan;
  std::unique_ptr<FileSegment> file;
  std::optional<Client> bystander;
  Held held;
  Tracee victim;
  std::optional<Stepper> stepper;
  std::optional<ImageChecker> checker;
};

std::string StepEngine::StartVictim(Scene& scene, const StepPlan& plan) {
  std::string error = scene.victim.Start(
      VictimProgram(), {"lightning-faults", "victim", "--op", plan.name, "--seed", fmt::format("{}", plan.seed),
                        "--path", scene.file->path(), "--mode", IsolationName(isolation_)});
  if (error.empty()) error = scene.victim.RunToMarker();
  if (!error.empty()) return error;
  scene.stepper.emplace(scene.victim, scene.file->segment(), scene.file->path());
  return "";
}

// Another client comes, and is killed at one of its stores, before the victim arrives.
std::string StepEngine::KillInside(Scene& scene, const StepPlan& plan) {
  const StepPlan dead = MakeStepPlan(plan.dead_operation, plan.dead_seed);
  std::string error = StartVictim(scene, dead);
  if (!error.empty()) return error;
  StepCounts counts;
  bool ended = false;
  // Anywhere, or some stores after it took the lock of the key that the operation is about.
  Random random(MixSeeds(plan.seed, 3));
  bool armed = random.Percent(20);
  uint64_t left = armed ? 1 + random.Below(150) : 1 + random.Below(50);
  const Segment& segment = scene.file->segment();
  const LockWord& lock = segment.home(Key(segment, dead.touched.at(0)).hash).lock;
  auto on_change = [&](uint64_t, uint64_t) {
    armed |= LockValue::IsHeld(lock.Load());
    return !armed || --left != 0;
  };
  error = scene.stepper->Run(kTooLong, on_change, &counts, &ended);
  figures_.instructions += counts.instructions;
  scene.victim.Kill();
  return error;
}

std::string StepEngine::Prepare(Scene& scene, const StepPlan& plan) {
  scene.plan = plan;
  Options options = plan.options;
  options.isolation = Isolation::kNone;  // of the bystander; the victim has its own
  Result<std::unique_ptr<FileSegment>> file = FileSegment::Create(options);
  if (!file.ok()) return "making the segment: " + file.status().ToString();
  scene.file = std::move(*file);
  Result<Client> bystander = scene.file->Attach();
  if (!bystander.ok()) return "attaching the bystander: " + bystander.status().ToString();
  scene.bystander.emplace(std::move(*bystander));
  std::string error = DoSetup(*scene.bystander, plan.bystander, &scene.held);
  if (error.empty() && !plan.dead_operation.empty()) error = KillInside(scene, plan);
  if (error.empty()) error = StartVictim(scene, plan);
  if (!error.empty()) return error;
  JudgeOptions judge;
  judge.bystander = SlotOf(*scene.bystander);
  judge.pinned = PinnedObjects(plan.bystander, scene.held);
  scene.checker.emplace(scene.plan, scene.file->segment().geometry(), std::move(judge));
  return scene.checker->Begin(scene.file->segment().view());
}

// Everything that recovery acts on: the control region and the pins. Not the recency of reads, which is a hint.
uint64_t StepEngine::HashState(const Scene& scene) const {
  const Segment& segment = scene.file->segment();
  const Geometry& g = segment.geometry();
  uint64_t hash = XXH3_64bits(segment.view(), g.control_end);
  for (SlotIndex slot = 0; slot < g.max_clients; ++slot)
    hash = XXH3_64bits_withSeed(segment.client_page(slot).pins, 4 * uint64_t{g.max_pins}, hash);
  return hash;
}

void StepEngine::Report(const StepPlan& plan, const std::string& what, uint64_t at, const std::string& where) {
  Finding finding;
  finding.part = "step";
  finding.what = fmt::format("{}, seed {}, instruction {}{}{}: {}", plan.name, plan.seed, at,
                             where.empty() ? "" : " in ", where, what);
  finding.reproduce = fmt::format("lightning-faults step --op {} --seed {} --at {}", plan.name, plan.seed, at);
  if (isolation_ != Isolation::kNone) finding.reproduce += fmt::format(" --mode {}", IsolationName(isolation_));
  findings_.push_back(std::move(finding));
}

void StepEngine::Run(const std::string& name, uint64_t seed) {
  const StepPlan plan = MakeStepPlan(name, seed);
  Scene scene;
  ++figures_.runs;
  std::string error = Prepare(scene, plan);
  if (!error.empty()) return Report(plan, error, 0, "");
  seen_.clear();
  const std::byte* image = scene.file->segment().view();
  StepCounts counts;
  bool ended = false;
  auto on_change = [&](uint64_t instruction, uint64_t address) {
    const Clock::time_point begin = Clock::now();
    const std::string uncovered = UncoveredStore(scene.file->segment(), scene.stepper->changes());
    if (!uncovered.empty()) {
      Report(plan, uncovered, instruction, SourceLine(scene.victim.pid(), address));
      return false;
    }
    if (seen_.insert(HashState(scene)).second) {
      ++figures_.distinct;
      const std::string problem = scene.checker->Check(image, /*thorough=*/true);
      if (!problem.empty()) Report(plan, problem, instruction, SourceLine(scene.victim.pid(), address));
    }
    figures_.checking_seconds += SecondsSince(begin);
    return findings_.empty();
  };
  error = scene.stepper->Run(kTooLong, on_change, &counts, &ended);
  figures_.instructions += counts.instructions;
  figures_.crash_states += counts.changes;
  last_instructions_ = counts.instructions;
  if (!error.empty()) return Report(plan, error, counts.instructions, "");
  if (!findings_.empty()) return;
  if (!ended) return Report(plan, "the operation does not end", counts.instructions, "");
  error = scene.checker->CheckEnd(image);
  if (!error.empty()) return Report(plan, error, counts.instructions, "");
  const int status = scene.victim.Finish();
  if (status != 0) Report(plan, fmt::format("the operation failed (status {})", status), counts.instructions, "");
}

void StepEngine::RunTo(const std::string& name, uint64_t seed, uint64_t at, bool* exact) {
  const StepPlan plan = MakeStepPlan(name, seed);
  Scene scene;
  ++figures_.runs;
  *exact = true;
  std::string error = Prepare(scene, plan);
  if (!error.empty() || at == 0) {
    if (!error.empty()) Report(plan, error, 0, "");
    return;
  }
  StepCounts counts;
  bool ended = false;
  const std::byte* image = scene.file->segment().view();
  auto on_change = [&](uint64_t instruction, uint64_t address) {
    if (instruction < at) return true;
    *exact = instruction == at;
    ++figures_.distinct;
    const std::string problem = scene.checker->Check(image, /*thorough=*/true);
    if (!problem.empty()) Report(plan, problem, instruction, SourceLine(scene.victim.pid(), address));
    return false;
  };
  error = scene.stepper->Run(kTooLong, on_change, &counts, &ended);
  figures_.instructions += counts.instructions;
  figures_.crash_states += counts.changes;
  if (!error.empty()) return Report(plan, error, counts.instructions, "");
  if (!ended) return;
  // Nothing changed from there on: then it is the end that is meant.
  *exact = counts.instructions == at;
  error = scene.checker->CheckEnd(image);
  if (error.empty() && scene.victim.Finish() != 0) error = "the operation failed";
  if (!error.empty()) Report(plan, error, counts.instructions, "");
}

std::string StepEngine::JudgeSurvivor(Scene& scene) {
  Client& client = *scene.bystander;
  const Result<RecoveryReport> report = client.Recover();
  if (!report.ok()) return "Recover: " + report.status().ToString();
  return scene.checker->JudgeContent(client, scene.file->segment());
}

void StepEngine::KillAt(const std::string& name, uint64_t seed, uint64_t at) {
  const StepPlan plan = MakeStepPlan(name, seed);
  Scene scene;
  std::string error = Prepare(scene, plan);
  StepCounts counts;
  bool ended = false;
  if (error.empty())
    error = scene.stepper->Run(
        at, [](uint64_t, uint64_t) { return true; }, &counts, &ended);
  figures_.instructions += counts.instructions;
  scene.victim.Kill();
  ++figures_.real_kills;
  if (error.empty()) error = JudgeSurvivor(scene);
  if (error.empty()) return;
  Report(plan, "really killed: " + error, at, "");
  findings_.back().reproduce += " --kill";
}

}  // namespace lightning::faults
