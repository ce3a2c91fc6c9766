#include <fmt/format.h>

#include <array>

#include "faults/cli/commands.h"
#include "faults/cli/keep.h"
#include "faults/cli/output.h"
#include "faults/engine/sequences.h"
#include "store/gate/process_key.h"

namespace lightning::faults {
namespace {

struct OpsOptions {
  std::string over;
  uint64_t seed = 1, operations = 10'000, episodes = 0;
  std::vector<uint64_t> only;
  double seconds = 30;
  bool quiet = false;
  KeepOptions keep;
};

int RunOps(const OpsOptions& options) {
  constexpr std::array kTargets = {"", "memory", "none", "hidden", "mprotect", "keys"};
  if (std::find(kTargets.begin(), kTargets.end(), options.over) == kTargets.end())
    return Usage("no such --over: " + options.over);
  if (options.over == "keys" && !MachineHasKeys()) return CannotRun(kNoKeys);
  if (options.episodes == 0 && options.only.empty()) {
    Findings findings;
    const Budget budget{options.seconds, 0, options.quiet};
    const OpsPart part = RunOpsPart(options.seed, options.over, budget, &findings);
    PrintOps(part);
    return KeepAndPrint(options.keep, options.seed, &findings);
  }
  Findings findings;
  for (uint64_t episode = 0; episode < std::max<uint64_t>(1, options.episodes) && findings.empty(); ++episode) {
    Sequence sequence;
    sequence.seed = episode == 0 ? options.seed : MixSeeds(options.seed, episode);
    sequence.over = options.over.empty() ? "memory" : options.over;
    sequence.count = options.operations;
    sequence.only = options.only;
    const SequenceResult result = RunSequence(sequence);
    if (!sequence.only.empty()) fmt::print("{}", ShowSequence(sequence));
    if (result.error.empty()) continue;
    findings.push_back({"ops",
                        fmt::format("operation {} of seed {}: {}", result.failed_at, sequence.seed, result.error),
                        CommandOf(sequence)});
  }
  return KeepAndPrint(options.keep, options.seed, &findings);
}

}  // namespace

void AddOps(CLI::App& app, Command* command) {
  auto options = std::make_shared<OpsOptions>();
  CLI::App* ops = app.add_subcommand("ops", "Run random operations against the model");
  ops->add_option("--seed", options->seed, "What everything follows from");
  ops->add_option("--over", options->over, "Only over this: memory, none, hidden, mprotect, keys");
  ops->add_option("--seconds", options->seconds, "How long");
  ops->add_option("--episodes", options->episodes, "This many segments instead of a time");
  ops->add_option("--operations", options->operations, "Operations on each segment, with --episodes");
  ops->add_option("--only", options->only, "Only these operations of the first segment, by number")->delimiter(',');
  AddKeepOptions(ops, &options->keep);
  ops->add_flag("--quiet", options->quiet, "No progress");
  ops->footer("Example: lightning-faults ops --seed 7 --over memory --episodes 1 --operations 10000");
  ops->callback([=] { *command = [=] { return RunOps(*options); }; });
}

}  // namespace lightning::faults
