// A reader takes no lock (rule 8). Each schedule of small plans in which it meets a writer at the worst moment: chance
// alone rarely stops it between two certain loads, for as long as another's whole operation.
#include <gtest/gtest.h>

#include "faults/plan/plan_text.h"
#include "faults/sim/simulation.h"
#include "faults/sim/strategy.h"
#include "store/index/object.h"

namespace lightning::faults {
namespace {

struct Explored {
  std::string error;  // of the first schedule that shows one
  uint64_t schedules = 0;
};

Plan Parsed(const std::string& text) {
  const ParsedPlan parsed = ParsePlan("lightning plan 1\n" + text);
  EXPECT_TRUE(parsed) << ShowError(parsed.error);
  return parsed ? *parsed.plan : Plan();
}

Explored Explore(const std::string& text) {
  const Plan plan = Parsed(text);
  Simulation sim(plan);
  const auto strategy = MakeStrategy(plan.schedule, static_cast<uint32_t>(plan.clients.size()), plan.seed);
  Explored explored;
  do {
    explored.error = sim.Run(*strategy, nullptr);
    ++explored.schedules;
  } while (explored.error.empty() && strategy->End(sim.points(), sim.turns()));
  return explored;
}

// The block of what was deleted is the first that the next put of this size takes. What the reader has pinned by then
// keeps its bytes.
TEST(ReaderRaceTest, APinIsSeenByWhoeverRetiresOrTheReaderLooksAgain) {
  const Explored explored = Explore(R"(
client writer {
  before {
    put "k" size 40 tag 1
    put "m" size 40 tag 3
    delete "m"
  }
  delete "k"
  put "l" size 40 tag 2
}
client reader {
  before {
    get "k"
  }
  pin "k"
}
schedule exhaustive bound 2
)");
  EXPECT_EQ(explored.error, "");
  EXPECT_GT(explored.schedules, 1000u);
}

// A delete moves the last entry of a chain into the hole. Who looks for that one meanwhile may miss it, and sees by the
// lock word that it has to look again.
TEST(ReaderRaceTest, AKeyThatMovesWithinItsChainIsNotMissed) {
  const Plan any = Parsed("client a {\n  check\n}\n");
  Simulation sim(any);
  const Segment& segment = sim.memory().segment();
  std::string other;
  for (int i = 0; other.empty(); ++i) {
    const std::string name = "k" + std::to_string(i);
    if (&segment.home(Key(segment, name).hash) == &segment.home(Key(segment, "k").hash)) other = name;
  }
  const Explored explored = Explore("client writer {\n  before {\n    put \"k\" size 8 tag 1\n    put \"" + other +
                                    "\" size 8 tag 2\n  }\n  delete \"k\"\n}\nclient reader {\n  get \"" + other +
                                    "\"\n}\nschedule exhaustive bound 2\n");
  EXPECT_EQ(explored.error, "");
  EXPECT_GT(explored.schedules, 1000u);
}

}  // namespace
}  // namespace lightning::faults
