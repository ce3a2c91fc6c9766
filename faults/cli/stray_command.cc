#include "faults/cli/commands.h"
#include "faults/cli/keep.h"
#include "faults/cli/output.h"
#include "faults/engine/parts.h"

namespace lightning::faults {
namespace {

struct StrayOptions {
  std::string mode = "auto";
  uint64_t seed = 1;
  double seconds = 5;
  bool quiet = false;
  KeepOptions keep;
};

int RunStray(const StrayOptions& options) {
  Isolation isolation;
  if (const int status = FindIsolation(options.mode, &isolation); status != kWell) return status;
  if (isolation == Isolation::kNone || isolation == Isolation::kHidden)
    return Usage("mode " + options.mode + " keeps no store out that is aimed");
  Findings findings;
  const Budget budget{options.seconds, 0, options.quiet};
  PrintStray(RunStrayPart(options.seed, isolation, budget, &findings));
  return KeepAndPrint(options.keep, options.seed, &findings);
}

}  // namespace

void AddStray(CLI::App& app, Command* command) {
  auto options = std::make_shared<StrayOptions>();
  CLI::App* stray = app.add_subcommand("stray", "Fire stray writes from outside a window");
  stray->add_option("--seed", options->seed, "Where they go");
  stray->add_option("--mode", options->mode, "Isolation: keys, mprotect; auto: both, as far as the machine has them");
  stray->add_option("--seconds", options->seconds, "How long");
  AddKeepOptions(stray, &options->keep);
  stray->add_flag("--quiet", options->quiet, "No progress");
  stray->footer("Example: lightning-faults stray --seconds 10 --mode mprotect");
  stray->callback([=] { *command = [=] { return RunStray(*options); }; });
}

}  // namespace lightning::faults
