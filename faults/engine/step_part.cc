#include <fmt/format.h>

#include "faults/engine/parts.h"
#include "faults/model/random.h"
#include "faults/report/progress.h"

namespace lightning::faults {

StepPart PartOf(const StepEngine& engine, double seconds) {
  return {engine.figures(), engine.record(), seconds, engine.failed(), engine.words()};
}

StepPart RunStepPart(const std::string& only, uint64_t seed, Isolation isolation, const Budget& budget,
                     Findings* findings, const StepDepth& depth, bool twice) {
  StepEngine engine(isolation, depth);
  engine.set_twice(twice);
  Progress progress("step ", budget.quiet);
  const Clock::time_point begin = Clock::now();
  Random random(MixSeeds(seed, 77));
  const std::span<const std::string_view> names = StepNames();
  // The first round is whole if that is asked for; else the time decides, and the seed where to begin.
  const size_t first = budget.at_least != 0 ? 0 : seed % names.size();
  for (uint64_t round = 0; engine.findings().empty(); ++round) {
    for (size_t i = 0; i < names.size(); ++i) {
      const std::string_view name = names[(first + i) % names.size()];
      if (!only.empty() && only != name) continue;
      if ((round > 0 || budget.at_least == 0) && SecondsSince(begin) >= budget.seconds) break;
      const uint64_t its_seed = round == 0 ? seed : MixSeeds(seed, round);
      // A stepped recovery takes as long as an operation: every fourth operation has some, each in every fourth round.
      engine.set_depth(only.empty() && (i + round) % 4 != 0 ? StepDepth() : depth);
      engine.Run(NamedRun(std::string(name), its_seed));
      // What a recovery meets depends on where its victim died: several of those.
      const bool recovers = name == "recover" || name == "put-heals";
      engine.set_depth({});
      for (uint64_t more = 1; recovers && more <= 4 && engine.findings().empty(); ++more)
        engine.Run(NamedRun(std::string(name), MixSeeds(its_seed, 1000 + more)));
      if (!engine.findings().empty()) break;
      engine.KillAt(NamedRun(std::string(name), recovers ? MixSeeds(its_seed, 1004) : its_seed),
                    random.Below(engine.last_instructions() + 1));
      if (!engine.findings().empty()) break;
      const StepFigures& f = engine.figures();
      progress.Show(fmt::format("round {}, {}: {} instructions, {} crash states, {} distinct, {} really killed",
                                round + 1, name, f.instructions, f.crash_states, f.distinct, f.real_kills));
    }
    if (SecondsSince(begin) >= budget.seconds) break;
  }
  findings->insert(findings->end(), engine.findings().begin(), engine.findings().end());
  return PartOf(engine, SecondsSince(begin));
}

}  // namespace lightning::faults
