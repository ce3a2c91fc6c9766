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

// There is room for one of the two, so the put takes the place of what was deleted, unless somebody has that pinned.
// The reader is stopped at each of its points, goes on at each of the writer's, which then has all its latest stores
// still in its store buffer, or none; and the writer goes on to its end.
TEST(ReaderRaceTest, APinIsSeenByWhoeverRetiresOrTheReaderLooksAgain) {
  Plan plan = Parsed(R"(
segment {
  heap 200K
}
client reader {
  pin "k"
}
client writer {
  before {
    put "k" size 140000 tag 1
  }
  delete "k"
  put "l" size 140000 tag 2
}
schedule replay {
  run reader 1
}
)");
  constexpr uint32_t kReader = 0, kWriter = 1;
  Simulation sim(plan);
  uint64_t schedules = 0;
  bool reader_ends = false;
  for (uint64_t begin = 1; !reader_ends; ++begin) {
    bool writer_ends = false;
    for (uint64_t middle = 1; !writer_ends; ++middle) {
      for (const uint32_t held : {plan.schedule.buffer, 0u}) {
        plan.schedule.steps = {{kReader, begin, 0}, {kWriter, middle, 0}, {kReader, Turn::kUntilItWaits, held}};
        const auto strategy = MakeStrategy(plan.schedule, 2, 1);
        ASSERT_EQ(sim.Run(*strategy, nullptr), "") << begin << " points of the reader, " << middle << " of the writer";
        ++schedules;
      }
      ASSERT_GE(sim.turns().size(), 2u);
      reader_ends = sim.turns()[0].points < begin;
      writer_ends = reader_ends || sim.turns()[1].points < middle;
    }
  }
  EXPECT_GT(schedules, 1000u);
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
                                    "\" size 8 tag 2\n  }\n  delete \"k\"\n}\nclient reader {\n  contains \"" + other +
                                    "\"\n}\nschedule exhaustive bound 2\n");
  EXPECT_EQ(explored.error, "");
  EXPECT_GT(explored.schedules, 1000u);
}

}  // namespace
}  // namespace lightning::faults
