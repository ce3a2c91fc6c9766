// Litmus tests: what two clients may see of each other under x86-TSO, and what only a weaker or a stronger memory would
// show (Sewell, Sarkar, Owens, Zappa Nardelli, Myreen, CACM 53, 2010). Every schedule is tried.
#include <gtest/gtest.h>

#include <set>
#include <utility>

#include "faults/sim/simulation.h"

namespace lightning::faults {
namespace {

using Outcome = std::pair<uint32_t, uint32_t>;

class MemoryModelTest : public testing::Test {
 protected:
  using Word = Atomic<uint32_t>;

  // What the two bodies, given two words that are zero, return over all schedules with up to two preemptions.
  template <typename One, typename Two>
  std::set<Outcome> Outcomes(Memory memory, One one, Two two) {
    Plan plan;
    plan.clients = {{.name = "a", .before = {}, .operations = {}}, {.name = "b", .before = {}, .operations = {}}};
    plan.schedule.strategy = Schedule::kExhaustive;
    plan.schedule.bound = 2;
    plan.schedule.memory = memory;
    Simulation sim(plan);
    // Pins of a slot that nobody has: words that are shared and mean nothing here.
    auto& page = const_cast<ClientPage&>(sim.memory().segment().client_page(3));
    Word &x = page.pins[0], &y = page.pins[2];
    Outcome outcome;
    sim.Replace(0, [&] { outcome.first = one(x, y); });
    sim.Replace(1, [&] { outcome.second = two(x, y); });
    const auto strategy = MakeStrategy(plan.schedule, 2, 1);
    std::set<Outcome> outcomes;
    for (bool more = true; more;) {
      EXPECT_EQ(sim.Run(*strategy, nullptr), "");
      outcomes.insert(outcome);
      more = strategy->End(sim.points(), sim.turns());
      ++runs_;
    }
    return outcomes;
  }
  static uint32_t Seen(const Word& word) { return word.load(std::memory_order_acquire); }
  static void Set(Word& word) { word.store(1, std::memory_order_release); }
  uint64_t runs_ = 0;
};

// SB: each stores to one word and looks at the other's.
TEST_F(MemoryModelTest, AStoreMayWaitWhileALaterLoadGoesAhead) {
  const auto one = [](Word& x, Word& y) { return Set(x), Seen(y); };
  const auto two = [](Word& x, Word& y) { return Set(y), Seen(x); };
  EXPECT_TRUE(Outcomes(Memory::kTso, one, two).contains({0, 0}));
  EXPECT_FALSE(Outcomes(Memory::kSc, one, two).contains({0, 0}));
  EXPECT_GT(runs_, 10u);
}

TEST_F(MemoryModelTest, NotBeyondAFence) {
  const auto one = [](Word& x, Word& y) { return Set(x), FullFence(), Seen(y); };
  const auto two = [](Word& x, Word& y) { return Set(y), FullFence(), Seen(x); };
  const std::set<Outcome> outcomes = Outcomes(Memory::kTso, one, two);
  EXPECT_FALSE(outcomes.contains({0, 0}));
  EXPECT_EQ(outcomes.size(), 3u) << "both orders and both at once";
}

TEST_F(MemoryModelTest, NotBeyondALockedInstruction) {
  const auto one = [](Word& x, Word& y) { return x.exchange(1), Seen(y); };
  const auto two = [](Word& x, Word& y) { return y.exchange(1), Seen(x); };
  EXPECT_FALSE(Outcomes(Memory::kTso, one, two).contains({0, 0}));
}

// MP: stores are seen in the order in which they were made.
TEST_F(MemoryModelTest, StoresArriveInOrder) {
  const auto one = [](Word& x, Word& y) { return Set(x), Set(y), 0u; };
  const auto two = [](Word& x, Word& y) {
    const uint32_t flag = Seen(y);
    return flag * 2 + Seen(x);
  };
  const std::set<Outcome> outcomes = Outcomes(Memory::kTso, one, two);
  EXPECT_FALSE(outcomes.contains({0, 2})) << "the later store was seen, the earlier not";
  EXPECT_TRUE(outcomes.contains({0, 3}) && outcomes.contains({0, 1}) && outcomes.contains({0, 0}));
}

// A client sees its own store at once.
TEST_F(MemoryModelTest, OwnStoresAreSeenAtOnce) {
  const auto one = [](Word& x, Word&) { return Set(x), Seen(x); };
  const auto two = [](Word& x, Word&) { return Seen(x); };
  for (const Outcome& outcome : Outcomes(Memory::kTso, one, two)) EXPECT_EQ(outcome.first, 1u);
}

}  // namespace
}  // namespace lightning::faults
