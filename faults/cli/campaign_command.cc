#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <fstream>

#include "faults/cli/commands.h"
#include "faults/cli/mutants_command.h"
#include "faults/cli/output.h"
#include "faults/cli/report_files.h"
#include "faults/report/campaign_report.h"
#include "faults/report/progress.h"
#include "store/gate/gate.h"

namespace lightning::faults {
namespace {

struct CampaignOptions {
  double seconds = 0;  // 0: the default, with the least that each part does
  uint64_t seed = 1;
  std::string json;
  ReportFiles files;
  bool mutants = false, verbose = false, quiet = false;
};

constexpr double kDefaultSeconds = 210;
constexpr double kBesideMutants = 60;  // the campaign's own time, when planted bugs come after it
// Three that show what the campaign is there for; `lightning-faults mutants` tries all.
const std::vector<std::string> kItsMutants = {"lock-before-rollback", "log-after-store", "pins-of-the-dead"};

// Shares of the time.
constexpr double kOps = 0.10, kSim = 0.20, kStep = 0.36, kKills = 0.28, kStray = 0.05;

void RunParts(const CampaignOptions& options, CampaignReport* report) {
  const bool whole = options.seconds == 0 && !options.mutants;
  const double seconds = options.seconds != 0 ? options.seconds : options.mutants ? kBesideMutants : kDefaultSeconds;
  auto budget = [&](double share, uint64_t at_least) {
    return Budget{seconds * share, whole ? at_least : 0, options.quiet};
  };
  Findings* findings = &report->findings;
  report->stray = RunStrayPart(options.seed, Isolation::kAuto, budget(kStray, 0), findings);
  PrintStray(report->stray);
  report->ops = RunOpsPart(options.seed, "", budget(kOps, 1'000'000), findings);
  PrintOps(report->ops);
  // As clients run by default, and at the greatest speed.
  for (const Isolation isolation : {DefaultIsolation(), Isolation::kNone}) {
    report->kills.push_back(RunKillsPart(options.seed, isolation, budget(kKills / 2, 150), findings));
    PrintKills(report->kills.back());
  }
  report->sim = RunSimPart(options.seed, budget(kSim, 0), findings);
  PrintSim(report->sim);
  report->step = RunStepPart("", options.seed, Isolation::kNone, budget(kStep, 1), findings);
  PrintStep(report->step);
}

int RunCampaign(const CampaignOptions& options) {
  const Clock::time_point begin = Clock::now();
  std::ofstream json;
  if (!options.json.empty()) {
    json.open(options.json);
    if (!json) return Usage("cannot write " + options.json);
  }
  if (const int status = TryReports(options.files); status != kWell) return status;
  setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);
  CampaignReport report;
  report.isolation = IsolationName(DefaultIsolation());
  report.seed = options.seed;
  report.with_mutants = options.mutants;
  fmt::print("campaign, seed {}, isolation on this machine: {}\n", options.seed, report.isolation);
  RunParts(options, &report);
  if (options.mutants) {
    const int status = RunMutants(kItsMutants, options.seed, options.quiet, &report.mutants);
    if (status == kUsage || status == kCannotRun) return status;
  }
  report.seconds = SecondsSince(begin);
  if (json.is_open()) {
    json << ToJson(report);
    json.close();
    if (!json) return Usage("cannot write " + options.json);
  }
  if (const int status = WriteReports(options.files, report); status != kWell) return status;
  if (!options.files.html.empty()) fmt::print("report           {}\n", options.files.html);
  if (options.verbose) fmt::print("{}", ToJson(report));
  const int status = PrintFindings(report.findings);
  return status == kWell && !IsClean(report) ? kFound : status;
}

}  // namespace

void AddCampaign(CLI::App& app, Command* command) {
  auto options = std::make_shared<CampaignOptions>();
  CLI::App* campaign = app.add_subcommand(
      "campaign", "All parts: stray writes, random operations, real kills, simulated clients, every instruction");
  campaign
      ->add_option("--seconds", options->seconds, "How long; without it about four minutes, and each part does enough")
      ->check(CLI::PositiveNumber);
  campaign->add_option("--seed", options->seed, "What everything follows from");
  campaign->add_option("--json", options->json, "Writes the figures to this file");
  AddReportOptions(campaign, &options->files);
  campaign->add_flag("--mutants", options->mutants,
                     "Afterwards: plant known bugs in copies of the sources, and catch them");
  campaign->add_flag("--verbose", options->verbose, "Prints the JSON object too");
  campaign->add_flag("--quiet", options->quiet, "No progress");
  campaign->footer("Example: lightning-faults campaign --seconds 60 --seed 7 --json campaign.json");
  campaign->callback([=] { *command = [=] { return RunCampaign(*options); }; });
}

}  // namespace lightning::faults
