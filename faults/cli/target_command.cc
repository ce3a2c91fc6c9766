#include <fmt/format.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>

#include "faults/cli/commands.h"
#include "faults/cli/output.h"
#include "faults/cli/report_files.h"
#include "faults/engine/target_engine.h"
#include "faults/model/random.h"
#include "faults/report/markup.h"
#include "faults/target/target_host.h"

namespace lightning::faults {
namespace {

struct TargetCommandOptions {
  std::string target, directory, json, healer = "survivor";
  uint64_t seed = 1;
  size_t operations = 6;
  double seconds = 0;
  std::vector<uint64_t> at;
  bool first = false, quiet = false;
};

// What is neither a shared object nor can be executed is wrong usage.
int FindTarget(const std::string& name, TargetFile* file) {
  std::error_code error;
  file->path = std::filesystem::canonical(name, error).string();
  if (error) return Usage(fmt::format("{}: {}", name, error.message()));
  char magic[4] = {};
  std::ifstream(file->path).read(magic, sizeof magic);
  file->program = memcmp(magic, "\177ELF", sizeof magic) != 0 || !file->path.ends_with(".so");
  if (file->program && access(file->path.c_str(), X_OK) != 0)
    return Usage(name + " is neither a shared object (.so) nor a program");
  return kWell;
}

std::string CommandOf(const TargetCommandOptions& options, const TargetFinding& finding) {
  std::string command = fmt::format("lightning-faults target --target {} --seed {} --operations {}", options.target,
                                    finding.seed, options.operations);
  if (finding.undisturbed) return command;
  return command + fmt::format(" --healer {} --at {},{}", HealerName(finding.healer), finding.point.operation,
                               finding.point.instruction);
}

std::string Sentence(const TargetFinding& finding) {
  const std::string text = fmt::format("{}: {}", finding.verdict.kind, finding.verdict.text);
  if (finding.undisturbed) return fmt::format("with nobody killed, in `{}`: {}", finding.operation, text);
  return fmt::format("{}\n       a client was killed in `{}` at {}; {} heals; {} of the crash states end like this",
                     text, finding.operation, finding.line,
                     finding.healer == Healer::kSurvivor ? "a survivor" : "a newcomer", Thousands(finding.states));
}

void PrintRow(const TargetEngine& engine, double seconds) {
  for (const Healer healer : kHealers) {
    const TargetFigures& f = engine.figures(healer);
    fmt::print(
        "{:<7}{:>6.1f} s  {}, {} heals: {} instructions stepped; {} crash states, {} distinct, {} killed and "
        "judged; {} bad\n",
        "target", seconds, engine.name(), HealerName(healer), Thousands(f.instructions), Thousands(f.changes),
        Thousands(f.distinct), Thousands(f.judged), Thousands(f.bad));
  }
}

int WriteJson(const TargetCommandOptions& options, const TargetEngine& engine, double seconds) {
  if (options.json.empty()) return kWell;
  nlohmann::ordered_json json = {{"target", engine.name()},
                                 {"file", options.target},
                                 {"seed", options.seed},
                                 {"operations", options.operations},
                                 {"seconds", seconds},
                                 {"left_unjudged", engine.left()},
                                 {"left_unstepped", engine.unstepped()}};
  for (const Healer healer : kHealers) {
    const TargetFigures& f = engine.figures(healer);
    json["healers"][HealerName(healer)] = {{"instructions", f.instructions},
                                           {"crash_states", f.changes},
                                           {"distinct", f.distinct},
                                           {"judged", f.judged},
                                           {"bad", f.bad}};
  }
  json["findings"] = nlohmann::ordered_json::array();
  for (const TargetFinding& finding : engine.findings()) {
    nlohmann::ordered_json points = nlohmann::ordered_json::array();
    for (const TargetPoint& point : finding.points)
      points.push_back({{"operation", point.operation},
                        {"instruction", point.instruction},
                        {"address", fmt::format("{:#x}", point.address)}});
    json["findings"].push_back({{"healer", HealerName(finding.healer)},
                                {"kind", finding.verdict.kind},
                                {"what", finding.verdict.text},
                                {"states", finding.states},
                                {"operation", finding.operation},
                                {"line", finding.line},
                                {"reproduce", CommandOf(options, finding)},
                                {"killed_at", points}});
  }
  return WriteText(options.json, json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

// Rounds with other seeds until the time is over or one found something; without a time, one whole round.
void RunRounds(const TargetCommandOptions& options, Clock::time_point begin, TargetEngine* engine) {
  const bool timed = options.seconds > 0;
  const auto length = std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(options.seconds));
  const Clock::time_point deadline = timed ? begin + length : Clock::time_point::max();
  for (uint64_t round = 0; round == 0 || (timed && Clock::now() < deadline); ++round) {
    engine->Run(round == 0 ? options.seed : MixSeeds(options.seed, round), options.operations, deadline, options.quiet);
    if (!engine->error().empty() || !engine->findings().empty()) return;
  }
}

int RunTarget(const TargetCommandOptions& options) {
  TargetFile file;
  if (const int status = FindTarget(options.target, &file); status != kWell) return status;
  if (!options.at.empty() && options.at.size() != 2) return Usage("--at wants OPERATION,INSTRUCTION");
  if (options.healer != "survivor" && options.healer != "newcomer") return Usage("no such healer: " + options.healer);
  if (!CanTrace()) return CannotRun("this machine lets nobody trace a process (ptrace)");
  const Clock::time_point begin = Clock::now();
  TargetEngine engine(file);
  if (const std::string error = engine.Prepare(); !error.empty()) {
    fmt::print(stderr, "lightning-faults: {} is no target: {}\n", options.target, error);
    return kUsage;
  }
  if (options.at.empty()) {
    if (options.first) engine.StopAtFirst();
    RunRounds(options, begin, &engine);
    PrintRow(engine, SecondsSince(begin));
  } else {
    const Healer healer = options.healer == "survivor" ? Healer::kSurvivor : Healer::kNewcomer;
    engine.RunAt(options.seed, options.operations, healer, {options.at[0], options.at[1]});
  }
  if (const int status = WriteJson(options, engine, SecondsSince(begin)); status != kWell) return status;
  if (engine.left() > 0)
    fmt::print("        {} distinct crash states were left unjudged when the time was over\n",
               Thousands(engine.left()));
  Findings findings;
  for (const TargetFinding& finding : engine.findings())
    findings.push_back({"target", Sentence(finding), CommandOf(options, finding)});
  if (!engine.error().empty())
    findings.push_back({"target", "the harness could not go on: " + engine.error(),
                        fmt::format("lightning-faults target --target {} --seed {} --operations {}", options.target,
                                    options.seed, options.operations)});
  return PrintFindings(findings);
}

}  // namespace

void AddTarget(CLI::App& app, Command* command) {
  auto options = std::make_shared<TargetCommandOptions>();
  CLI::App* target = app.add_subcommand("target", "Kill clients of a store of yours at every instruction");
  target->add_option("--target", options->target, "A shared object (.so) with lightning_target_get, or a program")
      ->required();
  target->add_option("--seed", options->seed, "What everything follows from");
  target->add_option("--operations", options->operations, "Puts and removes in a round")->check(CLI::Range(1, 1000));
  target->add_option("--seconds", options->seconds,
                     "Rounds with other seeds for so long, or until one finds something; without: one whole round");
  target->add_option("--json", options->json, "Write figures and findings to this file");
  target->add_option("--at", options->at, "Kill only after this instruction of this operation: OPERATION,INSTRUCTION")
      ->delimiter(',');
  target->add_option("--healer", options->healer, "With --at: who goes on, survivor or newcomer");
  target->add_flag("--first", options->first, "End with the first finding");
  target->add_flag("--quiet", options->quiet, "No progress");
  target->footer(
      "Example: lightning-faults target --target ./my_store.so --seconds 60\n"
      "docs/tutorial.md leads from an empty file to a first caught bug; faults/target/lightning_target.h is the "
      "interface.");
  target->callback([=] { *command = [=] { return RunTarget(*options); }; });

  // What the engine starts; nobody's to call.
  CLI::App* host = app.add_subcommand("target-host")->group("");
  host->add_option("--target", options->target)->required();
  host->add_option("--directory", options->directory)->required();
  host->callback([=] {
    *command = [=] {
      const lightning_target* loaded = nullptr;
      const std::string error = LoadTarget(options->target, &loaded);
      if (error.empty()) return RunTargetHost(*loaded, options->directory);
      return Usage(error);
    };
  });
}

}  // namespace lightning::faults
