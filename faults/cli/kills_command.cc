#include "faults/cli/commands.h"
#include "faults/cli/keep.h"
#include "faults/cli/output.h"
#include "faults/engine/parts.h"

namespace lightning::faults {
namespace {

struct KillsOptions {
  std::string mode = "none";
  uint64_t seed = 1;
  double seconds = 30;
  KillsSetup setup;
  bool quiet = false;
  KeepOptions keep;
};

int RunKills(const KillsOptions& options) {
  Isolation isolation;
  if (const int status = FindIsolation(options.mode, &isolation); status != kWell) return status;
  Findings findings;
  const Budget budget{options.seconds, 0, options.quiet};
  PrintKills(RunKillsPart(options.seed, isolation, budget, &findings, options.setup));
  return KeepAndPrint(options.keep, options.seed, &findings);
}

}  // namespace

void AddKills(CLI::App& app, Command* command) {
  auto options = std::make_shared<KillsOptions>();
  CLI::App* kills = app.add_subcommand("kills", "Kill processes that work at full speed");
  kills->add_option("--seed", options->seed,
                    "Who does what and who is killed when; the scheduler's part stays its own");
  kills->add_option("--mode", options->mode, "Isolation: none, mprotect, hidden, keys");
  kills->add_option("--seconds", options->seconds, "How long");
  AddKeepOptions(kills, &options->keep);
  kills->add_option("--processes", options->setup.processes, "How many work at a time")->check(CLI::Range(1, 64));
  kills->add_flag("--quiet", options->quiet, "No progress");
  kills->footer("Example: lightning-faults kills --seconds 60 --mode mprotect");
  kills->callback([=] { *command = [=] { return RunKills(*options); }; });
}

}  // namespace lightning::faults
