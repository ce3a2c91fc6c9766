#include "faults/cli/keep.h"

#include <fmt/format.h>

#include <cstdio>

#include "faults/cli/output.h"
#include "faults/engine/step_failure.h"

namespace lightning::faults {
namespace {

constexpr const char* kReplay = "lightning-faults replay ";

// A part that only its own command repeats.
Failure Plain(const Finding& finding, uint64_t seed) {
  Failure failure;
  failure.engine = finding.part;
  failure.kind = finding.kind.empty() ? FailureClass(finding.what) : finding.kind;
  failure.what = finding.what;
  failure.command = finding.reproduce;
  failure.settings = {{"seed", seed}};
  return failure;
}

}  // namespace

void AddKeepOptions(CLI::App* app, KeepOptions* options) {
  app->add_option("--folder", options->folder, "Where failures are kept, each in a folder of its own");
  app->add_option("--minimise", options->minimise, "Seconds to spend on a smaller plan for a failure; 0: none")
      ->check(CLI::NonNegativeNumber);
  app->add_flag("!--no-keep", options->keep, "Leave nothing of failures behind");
}

std::vector<std::string> SimArguments(const KeepOptions& options) {
  std::vector<std::string> arguments = {"--folder", options.folder, "--minimise", fmt::format("{}", options.minimise)};
  if (!options.keep) arguments.emplace_back("--no-keep");
  return arguments;
}

std::vector<std::string> KeepFindings(const KeepOptions& options, const std::optional<StepFailed>& failed,
                                      Isolation isolation, uint64_t seed, Findings* findings) {
  std::vector<std::string> folders(findings->size());
  if (!options.keep) return folders;
  bool studied = false;
  for (size_t i = 0; i < findings->size(); ++i) {
    Finding& finding = (*findings)[i];
    if (finding.part == "sim" && finding.reproduce.empty()) continue;
    if (finding.reproduce.starts_with(kReplay)) {
      folders[i] = finding.reproduce.substr(std::char_traits<char>::length(kReplay));
      continue;
    }
    const bool study = finding.part == "step" && failed && !studied;
    studied |= study;
    const Failure failure =
        study ? StudyStepFailure(*failed, isolation, options.minimise, finding.reproduce) : Plain(finding, seed);
    const std::string error = LeaveFailure(options.folder, failure, &folders[i]);
    if (!error.empty()) fmt::print(stderr, "lightning-faults: {}\n", error);
    if (error.empty()) finding.reproduce = ReplayCommand(folders[i]);
    if (!error.empty()) folders[i].clear();
  }
  return folders;
}

int KeepAndPrint(const KeepOptions& options, uint64_t seed, Findings* findings) {
  KeepFindings(options, std::nullopt, Isolation::kNone, seed, findings);
  return PrintFindings(*findings);
}

}  // namespace lightning::faults
