#include <fmt/format.h>

#include <cstdio>

#include "faults/cli/commands.h"
#include "faults/cli/keep.h"
#include "faults/cli/output.h"
#include "faults/cli/report_files.h"
#include "faults/engine/parts.h"
#include "faults/engine/victim.h"
#include "faults/report/progress.h"

namespace lightning::faults {
namespace {

struct StepOptions {
  std::string op, plan, client, mode = "none", path, victim;
  uint64_t seed = 1;
  std::vector<uint64_t> at;
  double seconds = 30;
  bool kill = false, list = false, quiet = false, twice = false;
  StepDepth depth{.depth = 2};
  ReportFiles files;
  KeepOptions keep;
};

// The same files as those of a campaign, with this part alone; what it found is kept and printed. The exit status.
int Report(const StepOptions& options, Isolation isolation, StepPart part, Findings findings) {
  KeepFindings(options.keep, part.failed, isolation, options.seed, &findings);
  CampaignReport report;
  report.isolation = IsolationName(isolation);
  report.seed = options.seed;
  report.seconds = part.seconds;
  report.step = std::move(part);
  report.findings = std::move(findings);
  if (const int status = WriteReports(options.files, report); status != kWell) return status;
  return PrintFindings(report.findings);
}

// Whatever is to be stepped once; the exit status when it cannot be.
int FindRun(const StepOptions& options, StepRun* run) {
  if (!options.op.empty()) {
    *run = NamedRun(options.op, options.seed);
    return kWell;
  }
  const int status = ReadPlan(options.plan, &run->plan);
  run->title = options.plan;
  run->command = "lightning-faults step --plan " + options.plan;
  return status;
}

int StepOnce(const StepOptions& options, Isolation isolation) {
  StepRun run;
  if (const int status = FindRun(options, &run); status != kWell) return status;
  StepEngine engine(isolation, options.depth);
  engine.set_twice(options.twice);
  const Clock::time_point begin = Clock::now();
  bool exact = true;
  if (options.at.empty()) {
    engine.Run(run);
    PrintStep(PartOf(engine, SecondsSince(begin)));
  } else if (options.kill) {
    engine.KillAt(run, options.at[0]);
  } else {
    engine.RunTo(run, options.at, &exact);
  }
  if (!exact) fmt::print(stderr, "an instruction of --at changed nothing; the next that did was judged\n");
  return Report(options, isolation, PartOf(engine, SecondsSince(begin)), engine.findings());
}

int RunStep(const StepOptions& options) {
  Isolation isolation;
  if (const int status = TryReports(options.files); status != kWell) return status;
  if (!ParseIsolation(options.mode.c_str(), &isolation)) return Usage("no such mode: " + options.mode);
  if (options.list) {
    for (const std::string_view name : StepNames()) fmt::print("{}\n", name);
    return kWell;
  }
  if (!options.op.empty() && !IsStepName(options.op))
    return Usage("no such operation: " + options.op + " (see --list)");
  if (!options.op.empty() && !options.plan.empty()) return Usage("--op and --plan exclude each other");
  if (!options.at.empty() && options.op.empty() && options.plan.empty()) return Usage("--at needs --op or --plan");
  if (options.twice && !options.at.empty()) return Usage("--twice is for whole runs, without --at");
  if (!options.victim.empty()) SetVictimProgram(options.victim);
  if (options.kill && options.at.size() != 1) return Usage("--kill needs --at with one instruction");
  if (!options.at.empty() || !options.plan.empty()) return StepOnce(options, isolation);
  Findings findings;
  const Budget budget{options.seconds, 0, options.quiet};
  StepPart part = RunStepPart(options.op, options.seed, isolation, budget, &findings, options.depth, options.twice);
  PrintStep(part);
  PrintCross(CrossCheckWords(part.words, &findings));
  return Report(options, isolation, std::move(part), std::move(findings));
}

}  // namespace

void AddStep(CLI::App& app, Command* command) {
  auto options = std::make_shared<StepOptions>();
  CLI::App* step = app.add_subcommand("step", "Kill a client at every instruction of each operation");
  step->add_option("--op", options->op, "Only this operation");
  step->add_option("--plan", options->plan, "The plan in this file: its last client is stepped (- is standard input)");
  step->add_option("--seed", options->seed, "What everything follows from");
  step->add_option(
          "--at", options->at,
          "Judge only the state after this instruction; N,M: after M of a recoverer that met the state after N")
      ->delimiter(',');
  step->add_option("--depth", options->depth.depth, "Recoveries inside recoveries that are stepped; 0: none")
      ->check(CLI::Range(0, 10));
  step->add_option("--samples", options->depth.samples, "Crash states of each operation from which one is stepped")
      ->check(CLI::Range(1, 1'000'000));
  step->add_flag("--all", options->depth.all, "Step one from each of them; takes long");
  step->add_flag("--kill", options->kill, "With --at: kill the real process there, and recover the real segment");
  step->add_option("--mode", options->mode, "Isolation of the client that is stepped: none, mprotect, hidden, keys");
  step->add_option("--seconds", options->seconds, "How long; without --at");
  AddReportOptions(step, &options->files);
  AddKeepOptions(step, &options->keep);
  step->add_flag("--twice", options->twice, "Do each run twice: it must do the same");
  step->add_option("--victim", options->victim)->group("");  // for tests: a program with a bug planted in it
  step->add_flag("--list", options->list, "Names the operations");
  step->add_flag("--quiet", options->quiet, "No progress");
  step->footer(
      "Example: lightning-faults step --op put-replace --seed 7 --at 1234\n"
      "Example: lightning-faults step --plan failed.plan --depth 1");
  step->callback([=] { *command = [=] { return RunStep(*options); }; });

  // What the step engine starts under ptrace; nobody's to call.
  CLI::App* victim = app.add_subcommand("victim")->group("");
  victim->add_option("--plan", options->plan)->required();
  victim->add_option("--client", options->client)->required();
  victim->add_option("--path", options->path)->required();
  victim->add_option("--mode", options->mode);
  victim->callback([=] {
    Isolation isolation;
    if (ParseIsolation(options->mode.c_str(), &isolation))
      RunVictim(options->plan, options->client, options->path, isolation);
    *command = [] { return kUsage; };
  });
}

}  // namespace lightning::faults
