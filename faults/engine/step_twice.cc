// Every run does the same again: without that, neither a plan nor a number of an instruction says anything.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "faults/engine/step_scene.h"
#include "faults/report/line_table.h"
#include "faults/report/source_line.h"

namespace lightning::faults {
namespace {

// The part of a trace that must repeat itself: the program's own instructions, but for those that read the system's
// answers. /proc gives them as text, and reading it takes as long as its numbers are.
class OwnSteps {
 public:
  explicit OwnSteps(pid_t process) {
    std::error_code unreadable;
    const auto program = std::filesystem::read_symlink(fmt::format("/proc/{}/exe", process), unreadable);
    table_ = LineTable::Load(program.string(), &error_);
  }
  const std::string& error() const { return error_; }

  // By their places in the trace.
  std::vector<size_t> Of(const StepTrace& trace) const {
    std::vector<size_t> own;
    for (size_t i = 0; i < trace.size(); ++i) {
      if (trace[i].address != StepPoint::kElsewhere && !ReadsTheSystem(trace[i].address)) own.push_back(i);
    }
    return own;
  }

 private:
  bool ReadsTheSystem(uint32_t address) const {
    const auto places = table_.At(address);
    return std::any_of(places.begin(), places.end(), [&](const SourcePlace& place) {
      return table_.files()[place.file].ends_with("store/kernel/linux_kernel.cc");
    });
  }

  LineTable table_;
  std::string error_;
};

bool Same(const StepPoint& a, const StepPoint& b) {
  return a.address == b.address && (a.outcome == PointOutcome::kUnchanged) == (b.outcome == PointOutcome::kUnchanged);
}

// Where the two part, or "".
std::string Difference(pid_t process, const StepTrace& first, const StepTrace& second) {
  const OwnSteps steps(process);
  if (!steps.error().empty()) return steps.error();
  const std::vector<size_t> one = steps.Of(first), two = steps.Of(second);
  size_t at = 0;
  while (at < one.size() && at < two.size() && Same(first[one[at]], second[two[at]])) ++at;
  if (at == one.size() && at == two.size()) return "";
  const uint64_t begin = FindProgram(process).begin;
  const auto place = [&](const StepTrace& trace, const std::vector<size_t>& own) {
    if (at >= own.size()) return std::string("the end");
    return fmt::format("instruction {} in {}", own[at] + 1, SourceLine(process, begin + trace[own[at]].address));
  };
  return fmt::format("the first time it came to {}, the second time to {}", place(first, one), place(second, two));
}

}  // namespace

void StepEngine::RunAgain(const StepRun& run, const StepTrace& first) {
  Scene scene;
  ++figures_.runs;
  std::string error = Prepare(scene, run.plan);
  if (error.empty()) error = StepUpTo(scene, first.size() + kTooManyInstructions);
  figures_.instructions += scene.counts.instructions;
  if (error.empty()) error = Difference(scene.victim->pid(), first, scene.stepper->trace());
  if (error.empty()) return;
  Finding finding;
  finding.part = "step";
  finding.kind = "the harness is not deterministic";
  finding.what = fmt::format("{}: {}: {}", run.title, finding.kind, error);
  finding.reproduce = run.command + " --twice";
  findings_.push_back(std::move(finding));
}

}  // namespace lightning::faults
