#include "faults/sim/simulation.h"

#include <gtest/gtest.h>

#include "faults/plan/expand.h"
#include "faults/plan/plan_text.h"
#include "faults/sim/crash_judge.h"
#include "faults/sim/sim_engine.h"
#include "store/index/object.h"
#include "store/log/words.h"

namespace lightning::faults {
namespace {

Plan Parsed(const std::string& text) {
  const ParsedPlan parsed = ParsePlan("lightning plan 1\n" + text);
  EXPECT_TRUE(parsed) << ShowError(parsed.error);
  return parsed ? *parsed.plan : Plan();
}

// A word around the simulation.
uint64_t& Raw(const Cell& word) { return reinterpret_cast<uint64_t&>(const_cast<Cell&>(word)); }

// One schedule of the plan as it says; with `judge`, its crash states too.
std::string RunPlan(const Plan& plan, CrashObserver* judge, SimCounts* counts = nullptr, uint64_t* trace = nullptr) {
  Simulation sim(plan);
  const auto strategy = MakeStrategy(plan.schedule, static_cast<uint32_t>(plan.clients.size()), plan.seed);
  std::string error = sim.Run(*strategy, judge);
  if (counts != nullptr) *counts = sim.counts();
  if (trace != nullptr) *trace = sim.trace();
  return error;
}

constexpr const char* kTwoClients = R"(
client a {
  before {
    put "k" size 100 tag 1
  }
  put "k" size 200 tag 2
  batch {
    put "k" size 300 tag 3
    put "l" size 10 tag 4
  }
  get "l"
}
client b {
  get "k"
  delete "k"
  put "l" size 20 tag 5
}
)";

TEST(SimulationTest, EveryCrashStateOfTwoClientsHeals) {
  const Plan plan = Parsed(std::string(kTwoClients) + "schedule random percent 10\n");
  CrashJudge judge(/*depth=*/1, /*nested_share=*/100);
  SimCounts counts;
  EXPECT_EQ(RunPlan(plan, &judge, &counts), "");
  EXPECT_EQ(counts.operations, 7u) << "with the one before";
  EXPECT_GT(counts.crash_states, 300u);
  EXPECT_GT(judge.counts().by_depth[0], 100u);
  EXPECT_GT(judge.counts().by_depth[1], 0u) << "some healers were killed too";
}

TEST(SimulationTest, TheSameScheduleDoesTheSame) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    PlanShape shape;
    shape.kills = static_cast<uint32_t>(seed % 3);
    Plan plan = ExpandPlan(seed, shape);
    plan.schedule.strategy = Schedule::kRandom;
    Simulation sim(plan);
    const auto strategy = MakeStrategy(plan.schedule, static_cast<uint32_t>(plan.clients.size()), seed);
    ASSERT_EQ(sim.Run(*strategy, nullptr), "");
    Plan again = plan;
    again.schedule.strategy = Schedule::kReplay;
    again.schedule.steps = sim.turns();
    uint64_t trace = 0;
    ASSERT_EQ(RunPlan(again, nullptr, nullptr, &trace), "");
    EXPECT_EQ(trace, sim.trace()) << "seed " << seed;
  }
}

TEST(SimulationTest, AKillHappensWhereThePlanSays) {
  for (const char* moment : {"point 9", "store 9", "log-entry 3", "log-count 2", "commit 1", "lock 2", "unlock 1"}) {
    const Plan plan = Parsed(std::string(kTwoClients) + "kill a at " + moment + "\n");
    SimCounts counts;
    EXPECT_EQ(RunPlan(plan, nullptr, &counts), "") << moment;
    EXPECT_EQ(counts.kills, 1u) << moment;
  }
  SimCounts counts;
  EXPECT_EQ(RunPlan(Parsed(std::string(kTwoClients) + "kill a at store 100000\n"), nullptr, &counts), "");
  EXPECT_EQ(counts.kills, 0u) << "one that is never reached";
}

TEST(SimulationTest, RecoverersAreKilledInTurn) {
  const Plan plan = Parsed(std::string(kTwoClients) +
                           "kill a at store 60\nkill b at store 30\nrecover by r1 killed at claim 1\n"
                           "recover by r2 killed at store 40\nrecover by r3\n");
  SimCounts counts;
  EXPECT_EQ(RunPlan(plan, nullptr, &counts), "");
  EXPECT_EQ(counts.kills, 4u);
}

TEST(SimulationTest, AStoppedClientGoesOnWhereItWas) {
  const Plan plan = Parsed(std::string(kTwoClients) + "schedule random percent 20\nstop a at lock 2 for 300\n");
  SimCounts counts;
  EXPECT_EQ(RunPlan(plan, nullptr, &counts), "");
  EXPECT_EQ(counts.operations, 7u) << "it did all that it had to";
}

// Rule 1, planted: a word of the store's state changes without a log.
TEST(SimulationTest, AStoreThatNoUndoLogCoversIsFound) {
  const Plan plan = Parsed(kTwoClients);
  Simulation sim(plan);
  sim.Replace(0, [&] {
    auto& cell = reinterpret_cast<Atomic<uint64_t>&>(const_cast<Cell&>(sim.memory().segment().central().free_granules));
    cell.store(cell.load() + 1, std::memory_order_release);
  });
  const auto strategy = MakeStrategy(plan.schedule, 2, 1);
  EXPECT_NE(sim.Run(*strategy, nullptr).find("no undo log"), std::string::npos);
}

// Mutual exclusion, planted: a client that takes a lock and never lets go, and is alive.
TEST(SimulationTest, ALockThatIsNeverReleasedIsFound) {
  const Plan plan = Parsed(kTwoClients);
  Simulation sim(plan);
  sim.Replace(0, [&] {
    const Segment& segment = sim.memory().segment();
    for (uint32_t i = 0; i < segment.geometry().home_buckets; ++i) {
      auto& lock = reinterpret_cast<Atomic<uint64_t>&>(const_cast<LockWord&>(segment.home_at(i).lock));
      lock.store(LockValue::Taken(0, LockValue::Owner(0, 1)), std::memory_order_release);
    }
  });
  const auto strategy = MakeStrategy(plan.schedule, 2, 1);
  const std::string error = sim.Run(*strategy, nullptr);
  EXPECT_NE(error.find("TIMEOUT"), std::string::npos) << error;
}

// What stands in the segment is no witness of what should stand there: a byte of a value changes.
TEST(SimulationTest, AValueThatNobodyPutIsFound) {
  const Plan plan = Parsed("client a {\n  before {\n    put \"k\" size 100 tag 1\n  }\n  get \"k\"\n}\n");
  for (const bool planted : {false, true}) {
    Simulation sim(plan);
    sim.Replace(0, [&] {
      const Segment& segment = sim.memory().segment();
      for (uint32_t id = 1; planted && id <= segment.geometry().objects; ++id) {
        const ObjectFields object = ObjectFields::Read(segment.object(ObjectId{id}));
        if (object.head.state == ObjectState::kSealed) sim.memory().data()[object.payload + 50] ^= std::byte{1};
      }
    });
    const auto strategy = MakeStrategy(plan.schedule, 1, 1);
    EXPECT_EQ(sim.Run(*strategy, nullptr).find("nobody ever put") != std::string::npos, planted);
  }
}

// Rule 12, planted: what a dead client was creating is said to be another's who lives.
TEST(SimulationTest, AKeyThatOnlyTheDeadWereCreatingIsInNobodysWay) {
  const Plan plan = Parsed(
      "client a {\n  before {\n    create \"k\" size 100 tag 1\n  }\n  get \"k\"\n}\n"
      "client b {\n  put \"k\" size 10 tag 2\n}\nkill a at point 1\n");
  for (const bool planted : {false, true}) {
    Simulation sim(plan);
    sim.Replace(0, [&] {
      const Segment& segment = sim.memory().segment();
      for (uint32_t id = 1; planted && id <= segment.geometry().objects; ++id) {
        const Cell& word = segment.object(ObjectId{id}).head;
        ObjectHead head = ObjectHead::Decode(Raw(word));
        if (head.state != ObjectState::kUnsealed) continue;
        head.owner = 1;
        Raw(word) = head.Encode();
      }
      segment.central().free_granules.Load();  // where it dies
    });
    const auto strategy = MakeStrategy(plan.schedule, 2, 1);
    const std::string error = sim.Run(*strategy, nullptr);
    EXPECT_EQ(error.find("by nobody who lives") != std::string::npos, planted) << error;
    EXPECT_EQ(error.empty(), !planted) << error;
    EXPECT_EQ(sim.counts().kills, 1u);
  }
}

// The leaving client must be done with the dead before its slot is free: its claim on them names the slot. Here c dies
// while a leaves; b met two clients that both believed to have the central lock, in one of the first dozen schedules.
TEST(SimulationTest, ALeavingClientsClaimOnTheDeadIsKept) {
  SimOptions options;
  options.plan = Parsed(R"(
segment {
  max-clients 6
  hash-seed 5925122717874097145
}
client a {
  before {
    create "a" tag 1
  }
  pin "b"
  list "a"
  detach
}
client b {
  delete "c"
  delete "b"
  delete "c"
  batch {
    put "c" size 1406 tag 3 metadata 159
    put "a" size 1 tag 4
    put "b" size 89 tag 5
  }
}
client c {
  before {
    create "a" size 75 tag 6
  }
  create "b" size 618 tag 8
}
schedule random percent 3 buffer 5
kill c at store 91
)");
  options.schedules = 200;
  options.seconds = 1e9;
  options.crash_states = false;
  options.quiet = true;
  SimEngine engine(options);
  engine.Run();
  for (const SimFailure& failure : engine.failures()) ADD_FAILURE() << failure.what;
  EXPECT_EQ(engine.figures().counts.kills, 200u) << "c died in each";
}

TEST(SimEngineTest, PlansOfASeedFindNothingInTheStore) {
  SimOptions options;
  options.seed = 11;
  options.seconds = 1e9;
  options.schedules = 2000;
  options.quiet = true;
  options.twice = true;
  SimEngine engine(options);
  engine.Run();
  for (const SimFailure& failure : engine.failures()) ADD_FAILURE() << failure.what << "\n" << PrintPlan(failure.plan);
  EXPECT_GE(engine.figures().schedules, 2000u);
  EXPECT_GT(engine.figures().crashes.distinct, 1000u);
}

TEST(SimEngineTest, ASeedDoesTheSameAgainAndAnotherDoesNot) {
  const auto points = [](uint64_t seed) {
    SimOptions options;
    options.seed = seed;
    options.seconds = 1e9;
    options.schedules = 30;
    options.crash_states = false;
    options.quiet = true;
    SimEngine engine(options);
    engine.Run();
    return engine.figures().counts.points;
  };
  const uint64_t first = points(3);
  EXPECT_GT(first, 1000u);
  EXPECT_EQ(points(3), first);
  EXPECT_NE(points(4), first);
}

TEST(SimEngineTest, AKindHasNoNamesAndNumbers) { EXPECT_EQ(KindOf("\"key 1\" has 12 bytes"), " has  bytes"); }

}  // namespace
}  // namespace lightning::faults
