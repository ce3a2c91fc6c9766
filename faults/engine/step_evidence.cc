// What a failure of the step engine leaves for people: the segment before and after recovery, the instructions that led
// to it, and the process itself, stopped where it is killed.
#include <fmt/format.h>

#include <map>

#include "faults/check/recovered.h"
#include "faults/check/word_names.h"
#include "faults/engine/step_scene.h"
#include "faults/report/source_line.h"

namespace lightning::faults {
namespace {

std::string TraceText(const Segment& segment, const Stepper& stepper, uint64_t instructions, pid_t process) {
  std::map<uint64_t, std::pair<uint64_t, std::vector<Stepper::Change>>> lines;  // instruction -> address, changes
  for (const Stepper::Change& change : stepper.kept_changes()) {
    lines[change.instruction].first = change.address;
    lines[change.instruction].second.push_back(change);
  }
  const std::vector<uint64_t> recent = stepper.RecentAddresses();
  const uint64_t first_recent = instructions - recent.size() + 1;
  for (size_t i = 0; i < recent.size(); ++i) lines[first_recent + i].first = recent[i];
  SourceLines sources(process);
  std::string text = fmt::format(
      "# Every instruction that changed the segment, and the last {} of all {}. After the last one the client died.\n"
      "# The program begins at {:#x}.\n"
      "# instruction  address  function (source line)\n",
      recent.size(), instructions, FindProgram(process).begin);
  uint64_t last = 0;
  for (const auto& [number, line] : lines) {
    if (number != last + 1) text += "...\n";
    last = number;
    text += fmt::format("{}  {:#x}  {}\n", number, line.first, sources.At(line.first));
    for (const auto& [instruction, address, word, place] : line.second) {
      text +=
          fmt::format("    {}: {} -> {}", WordName(segment, word.offset),
                      WordMeaning(segment, word.offset, word.before), WordMeaning(segment, word.offset, word.after));
      text += place == 0 ? "\n" : fmt::format("  at {:#x}\n", place);
    }
  }
  return text;
}

}  // namespace

void StepEngine::BeginEvidence(Stepper& stepper) {
  if (evidence_ != nullptr) stepper.KeepChanges();
}

void StepEngine::Capture(Scene& scene, const Segment& segment, Stepper& stepper, const Tracee& process) {
  if (evidence_ == nullptr) return;
  evidence_->before.assign(segment.view(), segment.view() + segment.geometry().size);
  evidence_->after = RecoveredBytes(segment, scene.judge.alive);
  if (process.pid() > 0) evidence_->trace = TraceText(segment, stepper, stepper.trace().size(), process.pid());
}

std::string StepEngine::StopAt(const StepRun& run, const std::vector<uint64_t>& at, const Show& show) {
  Scene scene;
  std::string error = Prepare(scene, run.plan);
  if (!error.empty()) return error;
  if (at.empty() || at[0] == 0) return "it fails before the first instruction that is stepped";
  const bool here = at.size() == 1;
  error = StepUpTo(scene, here ? at[0] - 1 : at[0]);
  if (!error.empty()) return error;
  if (here) return show(*scene.victim, scene.file->path());
  const Segment& segment = scene.file->segment();
  return StopRecovererAt(scene, at, 1, Image(segment.view(), segment.view() + segment.geometry().size), show);
}

std::string StepEngine::StopRecovererAt(Scene& scene, const std::vector<uint64_t>& at, size_t level, const Image& image,
                                        const Show& show) {
  const bool here = level + 1 == at.size();
  if (at[level] == 0) return "it fails before the recoverer's first instruction that is stepped";
  Recoverer recoverer;
  std::string error = StartRecoverer(scene, recoverer, image);
  if (!error.empty()) return error;
  StepCounts counts;
  bool ended = false;
  error = recoverer.stepper->Run(
      here ? at[level] - 1 : at[level], [](uint64_t, uint64_t) { return true; }, &counts, &ended);
  if (!error.empty()) return error;
  if (here) return show(recoverer.process, recoverer.file->path());
  const Segment& segment = recoverer.file->segment();
  return StopRecovererAt(scene, at, level + 1, Image(segment.view(), segment.view() + segment.geometry().size), show);
}

}  // namespace lightning::faults
