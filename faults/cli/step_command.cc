#include <fmt/format.h>

#include <cstdio>

#include "faults/cli/commands.h"
#include "faults/cli/output.h"
#include "faults/engine/parts.h"
#include "faults/engine/victim.h"

namespace lightning::faults {
namespace {

struct StepOptions {
  std::string op, mode = "none", path;
  uint64_t seed = 1;
  int64_t at = -1;
  double seconds = 30;
  bool kill = false, list = false, quiet = false;
};

int RunStep(const StepOptions& options) {
  Isolation isolation;
  if (!ParseIsolation(options.mode.c_str(), &isolation)) return Usage("no such mode: " + options.mode);
  if (options.list) {
    for (const std::string_view name : StepNames()) fmt::print("{}\n", name);
    return kWell;
  }
  if (!options.op.empty() && !IsStepName(options.op))
    return Usage("no such operation: " + options.op + " (see --list)");
  if (options.at >= 0 && options.op.empty()) return Usage("--at needs --op");
  if (options.at < 0) {
    Findings findings;
    Budget budget;
    budget.seconds = options.seconds;
    budget.quiet = options.quiet;
    const StepPart part = RunStepPart(options.op, options.seed, isolation, budget, &findings);
    PrintStep(part);
    return PrintFindings(findings);
  }
  StepEngine engine(isolation);
  bool exact = true;
  if (options.kill) {
    engine.KillAt(options.op, options.seed, static_cast<uint64_t>(options.at));
  } else {
    engine.RunTo(options.op, options.seed, static_cast<uint64_t>(options.at), &exact);
  }
  if (!exact) fmt::print(stderr, "instruction {} changed nothing; the next that did was judged\n", options.at);
  return PrintFindings(engine.findings());
}

}  // namespace

void AddStep(CLI::App& app, Command* command) {
  auto options = std::make_shared<StepOptions>();
  CLI::App* step = app.add_subcommand("step", "Kill a client at every instruction of each operation");
  step->add_option("--op", options->op, "Only this operation");
  step->add_option("--seed", options->seed, "What everything follows from");
  step->add_option("--at", options->at, "Judge only the state after this instruction");
  step->add_flag("--kill", options->kill, "With --at: kill the real process there, and recover the real segment");
  step->add_option("--mode", options->mode, "Isolation of the client that is stepped: none, mprotect, hidden, keys");
  step->add_option("--seconds", options->seconds, "How long; without --at");
  step->add_flag("--list", options->list, "Names the operations");
  step->add_flag("--quiet", options->quiet, "No progress");
  step->footer("Example: lightning-faults step --op put-replace --seed 7 --at 1234");
  step->callback([=] { *command = [=] { return RunStep(*options); }; });

  // What the step engine starts under ptrace; nobody's to call.
  CLI::App* victim = app.add_subcommand("victim")->group("");
  victim->add_option("--op", options->op)->required();
  victim->add_option("--seed", options->seed)->required();
  victim->add_option("--path", options->path)->required();
  victim->add_option("--mode", options->mode);
  victim->callback([=] {
    Isolation isolation;
    if (IsStepName(options->op) && ParseIsolation(options->mode.c_str(), &isolation))
      RunVictim(options->op, options->seed, options->path, isolation);
    *command = [] { return kUsage; };
  });
}

}  // namespace lightning::faults
