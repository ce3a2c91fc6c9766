// `run`: one engine on a plan or on plans of a seed, with the figures that other programs read.
#include <fmt/format.h>

#include <fstream>

#include "faults/cli/commands.h"
#include "faults/cli/keep.h"
#include "faults/cli/many_seeds.h"
#include "faults/cli/output.h"
#include "faults/engine/parts.h"
#include "faults/engine/sim_part.h"
#include "faults/report/campaign_report.h"
#include "faults/report/failure_folder.h"
#include "faults/report/progress.h"
#include "store/gate/gate.h"

namespace lightning::faults {
namespace {

struct RunOptions {
  std::string plan, engine = "sim", json, memory;
  KeepOptions keep;
  uint64_t seed = 1;
  double seconds = 30;
  uint32_t depth = 2;
  KillsSetup setup;
  bool stray = false;
  std::string mode = "auto";
  bool quiet = false;
  ManySeeds many;
};

nlohmann::json Begin(const RunOptions& options) {
  return {{"engine", options.engine}, {"seed", options.seed}, {"failures", nlohmann::json::array()}};
}

// Keeps what was found, adds it to the report, and prints it; the exit status.
int End(const RunOptions& options, const std::optional<StepFailed>& failed, nlohmann::json report, Findings findings) {
  const std::vector<std::string> folders =
      KeepFindings(options.keep, failed, Isolation::kNone, options.seed, &findings);
  for (size_t i = 0; i < findings.size(); ++i) {
    const Finding& finding = findings[i];
    report["failures"].push_back({{"class", finding.kind.empty() ? FailureClass(finding.what) : finding.kind},
                                  {"what", finding.what},
                                  {"folder", folders[i]},
                                  {"replay", finding.reproduce}});
  }
  if (!options.json.empty()) {
    std::ofstream out(options.json);
    out << report.dump(2) << "\n";
    if (!out.flush()) return Usage("cannot write " + options.json);
  }
  return PrintFindings(findings);
}

int RunStepEngine(const RunOptions& options) {
  Findings findings;
  StepRun run;
  StepPart part;
  const StepDepth depth{.depth = options.depth};
  if (options.plan.empty()) {
    part = RunStepPart("", options.seed, Isolation::kNone, {options.seconds, 0, options.quiet}, &findings, depth);
  } else {
    if (const int status = ReadPlan(options.plan, &run.plan); status != kWell) return status;
    run.title = options.plan;
    run.command = "lightning-faults step --plan " + options.plan;
    StepEngine engine(Isolation::kNone, depth);
    const Clock::time_point begin = Clock::now();
    engine.Run(run);
    part = PartOf(engine, SecondsSince(begin));
    findings = engine.findings();
  }
  PrintStep(part);
  const CrossCheck cross = CrossCheckWords(part.words, &findings);
  PrintCross(cross);
  const StepFigures& f = part.figures;
  const double stepping = part.seconds - f.checking_seconds;
  nlohmann::json report = Begin(options);
  report["seconds"] = part.seconds;
  report["instructions"] = f.instructions;
  report["instructions_per_second"] = stepping > 0 ? static_cast<double>(f.instructions) / stepping : 0;
  report["crash_states"] = f.crash_states;
  report["distinct"] = f.judged();
  report["checked_per_second"] = f.checked_per_second();
  report["depth"] = options.depth;
  report["cross_check"] = {{"stepped", cross.stepped}, {"hooked", cross.hooked}};
  return End(options, part.failed, std::move(report), std::move(findings));
}

// Stray stores beside clients at work, in one mode.
int RunStrayEngine(const RunOptions& options) {
  Isolation mode;
  if (const int status = FindIsolation(options.mode, &mode); status != kWell) return status;
  if (mode == Isolation::kNone) return Usage("mode none keeps nothing out");
  if (mode == Isolation::kAuto) mode = DefaultIsolation();
  Findings findings;
  const StrayPart part =
      RunStrayPart(options.seed, mode, {options.seconds, 0, options.quiet}, &findings, {.works = true});
  PrintStray(part);
  PrintStrayTargets(part);
  nlohmann::json report = Begin(options);
  report["seconds"] = part.seconds;
  report["isolation"] = IsolationName(mode);
  report["stray"] = StrayToJson(part);
  return End(options, std::nullopt, std::move(report), std::move(findings));
}

int RunRealEngine(const RunOptions& options) {
  if (!options.plan.empty())
    return Usage("the engine real runs what follows from --seed; a plan needs --engine sim or step");
  if (options.stray) return RunStrayEngine(options);
  Findings findings;
  const KillsPart part =
      RunKillsPart(options.seed, DefaultIsolation(), {options.seconds, 0, options.quiet}, &findings, options.setup);
  PrintKills(part);
  nlohmann::json report = Begin(options);
  report["seconds"] = part.seconds;
  report["processes"] = options.setup.processes;
  report.update(nlohmann::json(KillsToJson(part)));
  report["kills"] = part.count;
  return End(options, std::nullopt, std::move(report), std::move(findings));
}

int RunSimEngine(const RunOptions& options) {
  std::vector<std::string> arguments = SimArguments(options.keep);
  // Bounded by a count alone, what is found follows from the seed.
  const uint64_t schedules = options.many.schedules;
  arguments.insert(arguments.end(),
                   {"--seed", std::to_string(options.seed), "--depth", std::to_string(options.depth), "--schedules",
                    std::to_string(schedules), "--seconds", fmt::format("{}", schedules != 0 ? 1e8 : options.seconds)});
  if (!options.plan.empty()) arguments.insert(arguments.end(), {"--plan", options.plan});
  if (!options.memory.empty()) arguments.insert(arguments.end(), {"--memory", options.memory});
  if (options.quiet) arguments.emplace_back("--quiet");
  const SimRun run = RunSimulation(arguments, /*show=*/true);
  if (run.status == kCannotRun) return CannotRun(run.error);
  if (run.status != kUsage && !options.json.empty()) {
    std::ofstream out(options.json);
    out << run.report.dump(2) << "\n";
    if (!out.flush()) return Usage("cannot write " + options.json);
  }
  return run.status;
}

int RunManySeeds(const RunOptions& options) {
  if (!options.plan.empty()) return Usage("a plan is one run; --seeds and --ray are for what follows from seeds");
  std::vector<std::string> more = {"--engine",  options.engine,
                                   "--seed",    std::to_string(options.seed),
                                   "--seconds", fmt::format("{}", options.seconds),
                                   "--depth",   std::to_string(options.depth),
                                   "--folder",  options.keep.folder};
  if (!options.json.empty()) more.insert(more.end(), {"--json", options.json});
  if (!options.memory.empty()) more.insert(more.end(), {"--memory", options.memory});
  return BecomeManySeeds(options.many, more);
}

int RunEngine(const RunOptions& options) {
  if (options.stray && options.engine != "real") return Usage("--stray needs --engine real");
  if (options.many.wanted()) return RunManySeeds(options);
  if (options.engine == "sim") return RunSimEngine(options);
  if (options.engine == "step") return RunStepEngine(options);
  if (options.engine == "real") return RunRealEngine(options);
  return Usage("no such engine: " + options.engine + " (sim, step, real)");
}

}  // namespace

void AddRun(CLI::App& app, Command* command) {
  auto options = std::make_shared<RunOptions>();
  CLI::App* run = app.add_subcommand("run", "Run one engine: sim, step or real");
  run->add_option("plan", options->plan, "Only this plan (a file); else what follows from --seed");
  run->add_option("--engine", options->engine,
                  "sim: every interleaving and kill in simulation; step: the release binary, every instruction; real: "
                  "processes at full speed");
  run->add_option("--seed", options->seed, "What everything follows from");
  run->add_option("--seconds", options->seconds, "How long")->check(CLI::PositiveNumber);
  run->add_option("--depth", options->depth, "Recoverers that are killed in turn (sim, step)")->check(CLI::Range(0, 6));
  run->add_option("--memory", options->memory, "sim: tso, as x86 has it, or sc");
  run->add_option("--processes", options->setup.processes, "real: how many work at a time")->check(CLI::Range(1, 64));
  run->add_flag("--stray", options->stray, "real: stray stores beside clients at work, in place of kills");
  run->add_option("--mode", options->mode, "real, with --stray: isolation (keys, mprotect, hidden; auto: the default)");
  run->add_option("--json", options->json, "Writes the figures and failures as one object");
  AddKeepOptions(run, &options->keep);
  run->add_flag("--quiet", options->quiet, "No progress");
  run->add_option("--schedules", options->many.schedules, "sim: at most so many, in place of --seconds");
  run->add_option("--seeds", options->many.seeds, "So many runs, from --seed on, merged into one object");
  run->add_option("--ray", options->many.ray, "Spread them over a Ray cluster: its address, or auto, or local")
      ->expected(0, 1)
      ->default_str("auto");
  run->add_option("--tasks", options->many.tasks, "How many of them at a time, with --ray")
      ->check(CLI::Range(1, 100'000));
  run->footer(
      "Example: lightning-faults run --engine sim --seed 7 --seconds 60 --json run.json\n"
      "Example: lightning-faults run --engine real --stray --seconds 60 --mode mprotect --json stray.json\n"
      "Example: lightning-faults run --seeds 64 --schedules 2000 --ray auto --tasks 16 --json run.json");
  run->callback([=] { *command = [=] { return RunEngine(*options); }; });
}

}  // namespace lightning::faults
