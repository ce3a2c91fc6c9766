// `run`: one engine on a plan or on plans of a seed, with the figures that other programs read. `replay`: a failure
// that some engine left behind, again.
#include <fmt/format.h>

#include <filesystem>
#include <fstream>

#include "faults/cli/commands.h"
#include "faults/cli/many_seeds.h"
#include "faults/cli/output.h"
#include "faults/engine/parts.h"
#include "faults/engine/sim_part.h"
#include "faults/plan/plan_text.h"
#include "faults/report/progress.h"
#include "store/gate/gate.h"

namespace lightning::faults {
namespace {

struct RunOptions {
  std::string plan, engine = "sim", json, folder = "lightning-failures", memory;
  uint64_t seed = 1;
  double seconds = 30;
  uint32_t depth = 2;
  bool quiet = false;
  ManySeeds many;
};

// Sentences differ by names and numbers; what is left is what kind of failure it is.
std::string ClassOf(const std::string& what) {
  std::string kind;
  bool quoted = false;
  for (const char c : what) {
    if (c == '"') quoted = !quoted;
    if (!quoted && c != '"' && (c < '0' || c > '9')) kind += c;
  }
  return kind;
}

// A folder for each failure: what it was, and the command that shows it again.
nlohmann::json Keep(const RunOptions& options, const Finding& finding, const Plan* plan) {
  const std::string folder = fmt::format("{}/{}-{:016x}", options.folder, options.engine,
                                         std::hash<std::string>{}(finding.what + finding.reproduce));
  std::filesystem::create_directories(folder);
  if (plan != nullptr) std::ofstream(folder + "/plan.txt") << PrintPlan(*plan);
  const nlohmann::json verdict = {{"engine", options.engine},
                                  {"class", ClassOf(finding.what)},
                                  {"what", finding.what},
                                  {"command", finding.reproduce}};
  std::ofstream(folder + "/verdict.json") << verdict.dump(2) << "\n";
  return {{"class", ClassOf(finding.what)},
          {"what", finding.what},
          {"folder", folder},
          {"replay", "lightning-faults replay " + folder}};
}

nlohmann::json Begin(const RunOptions& options) {
  return {{"engine", options.engine}, {"seed", options.seed}, {"failures", nlohmann::json::array()}};
}

int End(const RunOptions& options, const nlohmann::json& report, const Findings& findings) {
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
    part = {engine.figures(), engine.record(), SecondsSince(begin)};
    findings = engine.findings();
  }
  PrintStep(part);
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
  for (const Finding& finding : findings)
    report["failures"].push_back(Keep(options, finding, options.plan.empty() ? nullptr : &run.plan));
  return End(options, report, findings);
}

int RunRealEngine(const RunOptions& options) {
  if (!options.plan.empty())
    return Usage("the engine real runs what follows from --seed; a plan needs --engine sim or step");
  Findings findings;
  const KillsPart part = RunKillsPart(options.seed, DefaultIsolation(), {options.seconds, 0, options.quiet}, &findings);
  PrintKills(part);
  nlohmann::json report = Begin(options);
  report["seconds"] = part.seconds;
  report["operations"] = part.operations;
  report["kills"] = part.count;
  for (const Finding& finding : findings) report["failures"].push_back(Keep(options, finding, nullptr));
  return End(options, report, findings);
}

int RunSimEngine(const RunOptions& options) {
  // By the count alone: what is found then follows from the seed.
  const bool bounded = options.many.schedules != 0;
  std::vector<std::string> arguments = {
      "--seed",  std::to_string(options.seed),  "--seconds", bounded ? "1e8" : fmt::format("{}", options.seconds),
      "--depth", std::to_string(options.depth), "--folder",  options.folder};
  if (!options.plan.empty()) arguments.insert(arguments.end(), {"--plan", options.plan});
  if (!options.memory.empty()) arguments.insert(arguments.end(), {"--memory", options.memory});
  if (options.quiet) arguments.emplace_back("--quiet");
  if (bounded) arguments.insert(arguments.end(), {"--schedules", std::to_string(options.many.schedules)});
  const SimRun run = RunSimulation(arguments, /*show=*/true);
  if (run.status == kCannotRun) {
    fmt::print(stderr, "lightning-faults: cannot run here: {}\n", run.error);
    return kCannotRun;
  }
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
                                   "--folder",  options.folder};
  if (!options.json.empty()) more.insert(more.end(), {"--json", options.json});
  if (!options.memory.empty()) more.insert(more.end(), {"--memory", options.memory});
  return BecomeManySeeds(options.many, more);
}

int RunEngine(const RunOptions& options) {
  if (options.many.wanted()) return RunManySeeds(options);
  if (options.engine == "sim") return RunSimEngine(options);
  if (options.engine == "step") return RunStepEngine(options);
  if (options.engine == "real") return RunRealEngine(options);
  return Usage("no such engine: " + options.engine + " (sim, step, real)");
}

// --- replay

int ReplaySim(const std::string& folder, const nlohmann::json& verdict) {
  std::vector<std::string> arguments = {"--plan",      folder + "/plan.txt",
                                        "--no-keep",   "--quiet",
                                        "--schedules", "1",
                                        "--depth",     std::to_string(verdict.value("depth", 2u))};
  if (!verdict.value("crash_states", true)) arguments.emplace_back("--no-crash-states");
  const SimRun run = RunSimulation(arguments, /*show=*/true);
  if (run.status == kCannotRun || run.status == kUsage) return run.status;
  const std::string before = verdict.value("class", "");
  const std::string now = run.report["failures"].empty() ? "" : run.report["failures"][0].value("class", "");
  if (now == before) {
    fmt::print("the same failure as in {}\n", folder);
    return kFound;
  }
  fmt::print("{}\n", now.empty() ? "it does not fail any more" : "another failure than the one in " + folder);
  return now.empty() ? kWell : kFound;
}

int Replay(const std::string& folder) {
  std::ifstream in(folder + "/verdict.json");
  const nlohmann::json verdict = nlohmann::json::parse(in, nullptr, /*allow_exceptions=*/false);
  if (!verdict.is_object()) return Usage(folder + " is no folder of a failure: it has no verdict.json");
  fmt::print("{}: {}\n", verdict.value("engine", "?"), verdict.value("what", "?"));
  if (verdict.value("engine", "") == "sim") return ReplaySim(folder, verdict);
  // The other engines print a command of this program that repeats the run.
  const std::string command = verdict.value("command", "");
  const std::string self = "lightning-faults ";
  if (!command.starts_with(self)) return Usage(folder + "/verdict.json has no command of lightning-faults");
  std::vector<std::string> words = CLI::detail::split_up(command.substr(self.size()));
  std::vector<char*> argv;
  std::string program = self;
  argv.push_back(program.data());
  for (std::string& word : words) argv.push_back(word.data());
  const int status = Main(static_cast<int>(argv.size()), argv.data());
  if (status == kFound) fmt::print("it still fails\n");
  if (status == kWell) fmt::print("it does not fail any more\n");
  return status;
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
  run->add_option("--json", options->json, "Writes the figures and failures as one object");
  run->add_option("--folder", options->folder, "Where failures are kept, each in a folder of its own");
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
      "Example: lightning-faults run --seeds 64 --schedules 2000 --ray auto --tasks 16 --json run.json");
  run->callback([=] { *command = [=] { return RunEngine(*options); }; });

  auto folder = std::make_shared<std::string>();
  CLI::App* replay = app.add_subcommand("replay", "Run a failure again that was kept in a folder");
  replay->add_option("folder", *folder, "As the failure's last line names it")->required();
  replay->footer(
      "Example: lightning-faults replay lightning-failures/sim-0123456789abcdef\n"
      "Exit status: 1 when it fails again, 0 when it does not.");
  replay->callback([=] { *command = [=] { return Replay(*folder); }; });
}

}  // namespace lightning::faults
