#include "faults/engine/step_engine.h"

#include <fmt/format.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "faults/engine/step_scene.h"
#include "faults/report/failure_folder.h"
#include "faults/report/progress.h"
#include "faults/report/source_line.h"

namespace lightning::faults {

StepRun NamedRun(const std::string& name, uint64_t seed) {
  return {ScenarioPlan(name, seed), fmt::format("{}, seed {}", name, seed),
          fmt::format("lightning-faults step --op {} --seed {}", name, seed)};
}

// Everything that recovery acts on: the control region and the pins. Not the recency of reads, which is a hint.
uint64_t StepEngine::HashState(const Segment& segment) {
  const Geometry& g = segment.geometry();
  uint64_t hash = XXH3_64bits(segment.view(), g.control_end);
  for (SlotIndex slot = 0; slot < g.max_clients; ++slot)
    hash = XXH3_64bits_withSeed(segment.client_page(slot).pins, 4 * uint64_t{g.max_pins}, hash);
  return hash;
}

void StepEngine::Report(const StepRun& run, const std::string& what, const std::vector<uint64_t>& at,
                        const std::string& where) {
  std::string places, numbers;
  for (const uint64_t number : at) {
    places += fmt::format("{}instruction {}", places.empty() ? "" : ", then of the recoverer ", number);
    numbers += fmt::format("{}{}", numbers.empty() ? "" : ",", number);
  }
  Finding finding;
  finding.part = "step";
  finding.what = fmt::format("{}, {}{}{}: {}", run.title, places, where.empty() ? "" : " in ", where, what);
  finding.reproduce = fmt::format("{} --at {}", run.command, numbers);
  if (isolation_ != Isolation::kNone) finding.reproduce += fmt::format(" --mode {}", IsolationName(isolation_));
  finding.kind = FailureClass(what);
  findings_.push_back(std::move(finding));
  if (!failed_) failed_ = {run, at, what};
}

// One distinct state of the operation; false when it is a finding.
bool StepEngine::Judge(Scene& scene, const StepRun& run, uint64_t instruction, uint64_t address) {
  const std::byte* image = scene.file->segment().view();
  std::string problem = UncoveredStore(scene.file->segment(), scene.stepper->changes());
  if (problem.empty()) problem = scene.checker->Check(image, /*thorough=*/true);
  if (problem.empty()) return true;
  Report(run, problem, {instruction}, SourceLine(scene.victim->pid(), address));
  return false;
}

// The marker behind an operation is reached: it has answered, and the content is what the model says. Goes on to the
// marker before the next one.
std::string StepEngine::EndOperation(Scene& scene, size_t operation, size_t operations) {
  const Code code = static_cast<Code>(scene.victim->registers().rax);
  Content content;
  std::string error = scene.checker->CheckEnd(scene.file->segment().view(), code, &content);
  if (!error.empty()) return error;
  scene.outcomes->Ended(code, content);
  for (int marker = 0; marker < 2 && operation + 1 < operations && error.empty(); ++marker)
    error = scene.victim->RunToMarker();
  return error;
}

std::string StepEngine::StepAll(Scene& scene, const StepRun& run, const OnState& on_change,
                                const std::function<void()>& on_end) {
  const size_t operations = run.plan.clients[SteppedClient(run.plan)].operations.size();
  for (size_t i = 0; i < operations; ++i) {
    std::string error = scene.checker->Begin(scene.file->segment().view(), scene.outcomes->Next());
    if (!error.empty()) return error;
    scene.stepper->Resync();
    scene.seen.clear();
    const uint64_t limit = scene.counts.instructions + kTooManyInstructions;
    error = scene.stepper->Run(limit, on_change, &scene.counts, &scene.ended);
    if (!error.empty()) return error;
    if (!scene.ended) return scene.counts.instructions < limit ? "" : "the operation does not end";
    error = EndOperation(scene, i, operations);
    if (!error.empty()) return error;
    if (on_end) on_end();
    if (!findings_.empty()) return "";
  }
  return "";
}

// A fair choice among all states of an operation, which are not counted in advance (Vitter 1985); or all of them.
void StepEngine::Keep(const Segment& segment, uint64_t instruction, bool all, std::vector<Sample>* samples,
                      uint64_t* seen) {
  const uint64_t number = ++*seen;
  size_t place = samples->size();
  if (!all && place >= depth_.samples) {
    place = random_.Below(number);
    if (place >= depth_.samples) return;
  }
  if (place == samples->size()) samples->emplace_back();
  (*samples)[place] = {instruction, Image(segment.view(), segment.view() + segment.geometry().size)};
}

void StepEngine::Run(const StepRun& run) {
  Scene scene;
  const Clock::time_point run_begin = Clock::now();
  ++figures_.runs;
  words_.set_command(run.command);
  random_ = Random(MixSeeds(run.plan.seed, 31));
  std::string error = Prepare(scene, run.plan);
  if (!error.empty()) return Report(run, error, {0}, "");
  auto on_change = [&](uint64_t instruction, uint64_t address) {
    const Clock::time_point begin = Clock::now();
    bool well = true;
    if (scene.seen.insert(HashState(scene.file->segment())).second) {
      ++figures_.distinct;
      well = Judge(scene, run, instruction, address);
      scene.stepper->trace().back().outcome = well ? scene.checker->outcome() : PointOutcome::kFailed;
      if (depth_.depth > 0) Keep(scene.file->segment(), instruction, depth_.all, &scene.samples, &scene.sampled);
    }
    figures_.checking_seconds += SecondsSince(begin);
    return well;
  };
  auto on_end = [&] {
    for (const Sample& sample : scene.samples) {
      if (findings_.empty()) StepRecovery(scene, run, {sample.instruction}, sample.image);
    }
    scene.samples.clear();
    scene.sampled = 0;
  };
  error = StepAll(scene, run, on_change, on_end);
  figures_.instructions += scene.counts.instructions;
  figures_.crash_states += scene.counts.changes;
  last_instructions_ = scene.counts.instructions;
  StepTrace& trace = scene.stepper->trace();
  if (twice_ && error.empty() && findings_.empty()) RunAgain(run, trace);
  if (!error.empty() && !trace.empty()) trace.back().outcome = PointOutcome::kFailed;
  record_.AddRun(run.title, run.command, std::move(trace), SecondsSince(run_begin));
  if (!error.empty()) return Report(run, error, {scene.counts.instructions}, "");
  if (!findings_.empty()) return;
  const int status = scene.victim->Finish();
  if (status != 0) Report(run, fmt::format("the client ended with status {}", status), {scene.counts.instructions}, "");
}

void StepEngine::RunTo(const StepRun& run, const std::vector<uint64_t>& at, bool* exact) {
  Scene scene;
  ++figures_.runs;
  *exact = true;
  std::string error = Prepare(scene, run.plan);
  if (error.empty()) BeginEvidence(*scene.stepper);
  if (!error.empty() || at[0] == 0) {
    if (!error.empty()) Report(run, error, {0}, "");
    return;
  }
  bool judged = false;
  auto on_change = [&](uint64_t instruction, uint64_t address) {
    if (instruction < at[0]) return true;
    judged = true;
    *exact = instruction == at[0];
    ++figures_.distinct;
    const bool well = Judge(scene, run, instruction, address);
    if (!well) Capture(scene, scene.file->segment(), *scene.stepper, *scene.victim);
    if (well && at.size() > 1) {
      const Segment& segment = scene.file->segment();
      RecoverTo(scene, run, at, 1, Image(segment.view(), segment.view() + segment.geometry().size), exact);
    }
    return false;
  };
  error = StepAll(scene, run, on_change, nullptr);
  figures_.instructions += scene.counts.instructions;
  figures_.crash_states += scene.counts.changes;
  record_.Fold(scene.stepper->trace(), /*judged=*/false, /*last_judged=*/true);
  // Nothing changed from there on: then it is the end that was judged.
  if (!judged) *exact = scene.counts.instructions == at[0];
  if (!error.empty()) Capture(scene, scene.file->segment(), *scene.stepper, *scene.victim);
  if (!error.empty()) return Report(run, error, {scene.counts.instructions}, "");
  if (!judged && scene.victim->Finish() != 0)
    Report(run, "the client did not end well", {scene.counts.instructions}, "");
}

std::string StepEngine::JudgeSurvivor(Scene& scene) {
  for (PlanRunner& bystander : scene.bystanders) {
    if (bystander.client() == nullptr) continue;
    const Result<RecoveryReport> report = bystander.client()->Recover();
    if (!report.ok()) return "Recover: " + report.status().ToString();
    return scene.checker->JudgeContent(*bystander.client(), scene.file->segment());
  }
  return "no client of the plan lives on";
}

std::string StepEngine::StepUpTo(Scene& scene, uint64_t limit) {
  const size_t operations = scene.plan.clients[SteppedClient(scene.plan)].operations.size();
  for (size_t i = 0; i < operations; ++i) {
    std::string error = scene.checker->Begin(scene.file->segment().view(), scene.outcomes->Next());
    if (!error.empty()) return error;
    scene.stepper->Resync();
    error = scene.stepper->Run(
        limit, [](uint64_t, uint64_t) { return true; }, &scene.counts, &scene.ended);
    // The last one may be over too: then it stands behind its end.
    if (!error.empty() || scene.counts.instructions >= limit || i + 1 == operations) return error;
    error = EndOperation(scene, i, operations);
    if (!error.empty()) return error;
  }
  return "";
}

void StepEngine::KillAt(const StepRun& run, uint64_t at) {
  Scene scene;
  std::string error = Prepare(scene, run.plan);
  if (error.empty()) BeginEvidence(*scene.stepper);
  if (error.empty()) error = StepUpTo(scene, at);
  figures_.instructions += scene.counts.instructions;
  if (scene.stepper) record_.Fold(scene.stepper->trace(), /*judged=*/false, /*last_judged=*/true);
  // Before the survivors change it.
  if (scene.stepper) Capture(scene, scene.file->segment(), *scene.stepper, *scene.victim);
  if (scene.victim != nullptr) scene.victim->Kill();
  ++figures_.real_kills;
  if (error.empty()) error = JudgeSurvivor(scene);
  if (error.empty()) return;
  Report(run, "really killed: " + error, {at}, "");
  findings_.back().reproduce += " --kill";
  failed_->killed = true;
}

}  // namespace lightning::faults
