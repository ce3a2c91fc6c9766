// The recoverer is a victim like any other: from a crash state a process starts over a copy of the file, attaches, and
// recovers one instruction at a time, and each state inside its work is one that the next recoverer may meet.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstring>

#include "faults/engine/step_scene.h"
#include "faults/report/progress.h"
#include "faults/report/source_line.h"

namespace lightning::faults {
namespace {

// In the copy, nobody has the process of one who is dead there: in truth it is under ptrace, or has ended by now.
constexpr uint64_t kNoProcess = 0x7FFF'FFFF;

std::string WriteAll(const std::string& path, const void* bytes, size_t size, uint64_t offset) {
  const int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  const bool well = fd >= 0 && pwrite(fd, bytes, size, static_cast<off_t>(offset)) == static_cast<ssize_t>(size);
  if (fd >= 0) close(fd);
  return well ? "" : fmt::format("writing the copy of a crash state: {}", strerror(errno));
}

Plan RecovererPlan(const Plan& plan) {
  Plan its;
  its.segment = plan.segment;
  its.clients.push_back({"recoverer", {}, {{Action::kRecover, {}, 0}}});
  return its;
}

}  // namespace

std::string StepEngine::StartRecoverer(Scene& scene, Recoverer& recoverer, const Image& image) {
  Result<std::unique_ptr<FileSegment>> file = FileSegment::Create(scene.file->options());
  if (!file.ok()) return "making the copy: " + file.status().ToString();
  recoverer.file = std::move(*file);
  const std::string& path = recoverer.file->path();
  std::string error = WriteAll(path, image.data(), image.size(), 0);
  const Segment& segment = recoverer.file->segment();
  for (SlotIndex slot = 0; slot < segment.geometry().max_clients && error.empty(); ++slot) {
    const auto& alive = scene.judge.alive;
    if (std::find(alive.begin(), alive.end(), slot) != alive.end()) continue;
    error = WriteAll(path, &kNoProcess, sizeof kNoProcess, segment.OffsetOf(&segment.slot(slot).pid));
  }
  if (error.empty()) error = recoverer.plan_file.Write(RecovererPlan(scene.plan));
  if (error.empty())
    error = recoverer.process.Start(VictimProgram(),
                                    VictimArguments(recoverer.plan_file, "recoverer", path, Isolation::kNone));
  if (error.empty()) error = recoverer.process.RunToMarker();
  if (error.empty()) recoverer.stepper.emplace(recoverer.process, segment, path, &words_);
  return error;
}

// Recover, from marker to marker. At each change `on_change`; an error text, or "".
template <typename OnChange>
static std::string StepWhole(Tracee& process, Stepper& stepper, const OnChange& on_change, StepCounts* counts,
                             bool* ended) {
  bool stopped = false;
  auto note = [&](uint64_t instruction, uint64_t address) {
    stopped = !on_change(instruction, address);
    return !stopped;
  };
  const std::string error = stepper.Run(kTooManyInstructions, note, counts, ended);
  if (!error.empty() || stopped) return error;
  if (!*ended) return "the recovery does not end";
  const Code code = static_cast<Code>(process.registers().rax);
  return code == Code::kOk ? "" : fmt::format("Recover answered {}", CodeName(code));
}

void StepEngine::StepRecovery(Scene& scene, const StepRun& run, const std::vector<uint64_t>& path, const Image& image) {
  const size_t level = path.size();
  if (figures_.in_recovery.size() < level) figures_.in_recovery.resize(level);
  auto here = [&](uint64_t instruction) {
    std::vector<uint64_t> at = path;
    at.push_back(instruction);
    return at;
  };
  std::vector<Sample> samples;
  {
    Recoverer recoverer;
    ++figures_.recoveries;
    std::string error = StartRecoverer(scene, recoverer, image);
    if (!error.empty()) return Report(run, error, here(0), "");
    const Segment& segment = recoverer.file->segment();
    std::unordered_set<uint64_t> seen;
    uint64_t sampled = 0;
    auto on_change = [&](uint64_t instruction, uint64_t address) {
      const Clock::time_point begin = Clock::now();
      std::string problem = UncoveredStore(segment, recoverer.stepper->changes());
      if (problem.empty() && seen.insert(HashState(segment)).second) {
        ++figures_.in_recovery[level - 1];
        problem = scene.checker->Check(segment.view(), /*thorough=*/false);
        if (level < depth_.depth) Keep(segment, instruction, /*all=*/false, &samples, &sampled);
      }
      if (!problem.empty()) Report(run, problem, here(instruction), SourceLine(recoverer.process.pid(), address));
      figures_.checking_seconds += SecondsSince(begin);
      return problem.empty();
    };
    StepCounts counts;
    bool ended = false;
    error = StepWhole(recoverer.process, *recoverer.stepper, on_change, &counts, &ended);
    figures_.instructions += counts.instructions;
    figures_.crash_states += counts.changes;
    // The states before the first change and at each new one are judged; a finding ends it.
    record_.Fold(recoverer.stepper->trace(), /*judged=*/true);
    if (error.empty() && ended) error = scene.checker->Check(segment.view(), /*thorough=*/false);
    if (!error.empty()) return Report(run, error, here(counts.instructions), "");
  }
  for (const Sample& sample : samples) {
    if (findings_.empty()) StepRecovery(scene, run, here(sample.instruction), sample.image);
  }
}

void StepEngine::RecoverTo(Scene& scene, const StepRun& run, const std::vector<uint64_t>& at, size_t level,
                           const Image& image, bool* exact) {
  const std::vector<uint64_t> here(at.begin(), at.begin() + static_cast<ptrdiff_t>(level) + 1);
  Image next;
  {
    Recoverer recoverer;
    std::string error = StartRecoverer(scene, recoverer, image);
    if (!error.empty()) return Report(run, error, here, "");
    BeginEvidence(*recoverer.stepper);
    const Segment& segment = recoverer.file->segment();
    auto on_change = [&](uint64_t instruction, uint64_t address) {
      if (instruction < at[level]) return true;
      *exact &= instruction == at[level];
      std::string problem = UncoveredStore(segment, recoverer.stepper->changes());
      if (problem.empty()) problem = scene.checker->Check(segment.view(), /*thorough=*/false);
      if (!problem.empty()) Report(run, problem, here, SourceLine(recoverer.process.pid(), address));
      if (!problem.empty()) Capture(scene, segment, *recoverer.stepper, recoverer.process);
      if (problem.empty()) next.assign(segment.view(), segment.view() + segment.geometry().size);
      return false;
    };
    StepCounts counts;
    bool ended = false;
    error = StepWhole(recoverer.process, *recoverer.stepper, on_change, &counts, &ended);
    if (error.empty() && ended) error = scene.checker->Check(segment.view(), /*thorough=*/false);
    if (!error.empty()) Capture(scene, segment, *recoverer.stepper, recoverer.process);
    if (!error.empty()) return Report(run, error, here, "");
  }
  if (!next.empty() && at.size() > level + 1) RecoverTo(scene, run, at, level + 1, next, exact);
}

}  // namespace lightning::faults
