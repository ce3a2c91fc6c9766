#include "faults/plan/expand.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "faults/plan/plan_segment.h"
#include "faults/plan/plan_words.h"

namespace lightning::faults {
namespace {

PlanShape Rich() {
  PlanShape shape;
  shape.operations = 8;
  shape.kills = 2;
  shape.stops = 1;
  shape.killed_recoverers = 2;
  shape.events = true;
  return shape;
}

template <typename Function>
void ForEachItem(const Plan& plan, Function function) {
  for (const PlanClient& client : plan.clients) {
    for (const auto* program : {&client.before, &client.operations}) {
      for (const PlanOperation& operation : *program) {
        const Operands operands = OperandsOf(operation.action);
        if (operands != Operands::kItem && operands != Operands::kBatch) continue;
        for (const NamedItem& item : operation.items) function(item);
      }
    }
  }
}

// What is wrong with a program by itself, or "".
std::string Senseless(const PlanClient& client) {
  bool attached = true, subscribed = false;
  std::set<std::string> created, seen;
  std::map<std::string, int> pins;
  std::vector<PlanOperation> program = client.before;
  program.insert(program.end(), client.operations.begin(), client.operations.end());
  for (const PlanOperation& operation : program) {
    const std::string key = operation.items.empty() ? "" : operation.items[0].key;
    if (attached == (operation.action == Action::kAttach)) return "attached twice, or not at all";
    switch (operation.action) {
      case Action::kCreate:
        if (!created.insert(key).second) return "creates what it has created";
        break;
      case Action::kSeal:
      case Action::kAbort:
        if (created.erase(key) == 0) return "seals what it has not created";
        seen.insert(key);
        break;
      case Action::kPin:
        ++pins[key];
        seen.insert(key);
        break;
      case Action::kUnpin:
        if (--pins[key] < 0) return "unpins what it has not pinned";
        break;
      case Action::kPut:
      case Action::kGet:
      case Action::kPutBatch:
        for (const NamedItem& item : operation.items) seen.insert(item.key);
        break;
      case Action::kReplace:
        if (!seen.contains(key)) return "replaces what it has not seen";
        break;
      case Action::kSubscribe:
        if (subscribed) return "subscribes twice";
        subscribed = true;
        break;
      case Action::kUnsubscribe:
      case Action::kNextEvent:
        if (!subscribed) return "has no subscription";
        subscribed = operation.action == Action::kNextEvent;
        break;
      case Action::kAttach:
      case Action::kDetach:
        attached = operation.action == Action::kAttach;
        subscribed = false;
        created.clear();
        pins.clear();
        seen.clear();
        break;
      default:
        break;
    }
  }
  return "";
}

TEST(ExpandTest, TheSameSeedMakesTheSamePlan) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    EXPECT_TRUE(ExpandPlan(seed, Rich()) == ExpandPlan(seed, Rich()));
    EXPECT_FALSE(ExpandPlan(seed, Rich()) == ExpandPlan(seed + 1, Rich()));
  }
}

TEST(ExpandTest, ItemsOfOneKeyNeverLookAlikeAndTagsAreUnique) {
  for (uint64_t seed = 0; seed < 1000; ++seed) {
    std::set<uint64_t> tags;
    std::map<std::string, std::set<std::pair<uint64_t, uint32_t>>> sizes;
    ForEachItem(ExpandPlan(seed, Rich()), [&](const NamedItem& item) {
      EXPECT_TRUE(tags.insert(item.item.tag).second) << "seed " << seed;
      EXPECT_TRUE(sizes[item.key].insert({item.item.size, item.item.metadata_size}).second) << "seed " << seed;
    });
  }
}

TEST(ExpandTest, EachProgramMakesSenseByItself) {
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    for (const PlanClient& client : ExpandPlan(seed, Rich()).clients) EXPECT_EQ(Senseless(client), "") << seed;
  }
}

TEST(ExpandTest, EachPlanHasItsShapeAndASegment) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    PlanShape shape = Rich();
    shape.eviction = seed % 2 == 0;
    const Plan plan = ExpandPlan(seed, shape);
    EXPECT_EQ(plan.clients.size(), 3u);
    EXPECT_EQ(plan.kills.size(), 2u);
    EXPECT_NE(plan.kills[0].client, plan.kills[1].client);
    EXPECT_EQ(plan.stops.size(), 1u);
    ASSERT_EQ(plan.recoverers.size(), 3u);
    EXPECT_TRUE(plan.recoverers[0].killed && plan.recoverers[1].killed && !plan.recoverers[2].killed);
    for (const PlanClient& client : plan.clients) {
      EXPECT_GE(client.operations.size(), 7u);
      EXPECT_LE(client.operations.size(), 9u);
    }
    EXPECT_TRUE(SegmentOptions(plan.segment).ok());
  }
}

TEST(ExpandTest, AllThatMayHappenHappens) {
  std::set<Action> actions;
  std::set<Moment::Unit> units;
  uint64_t empty = 0, large = 0, pages = 0, with_metadata = 0, items = 0, met = 0;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    const Plan plan = ExpandPlan(seed, Rich());
    std::map<std::string, std::set<std::string>> users;
    for (const PlanClient& client : plan.clients) {
      for (const PlanOperation& operation : client.operations) {
        actions.insert(operation.action);
        for (const NamedItem& item : operation.items) users[item.key].insert(client.name);
      }
    }
    for (const auto& [key, clients] : users) met += clients.size() > 1;
    for (const PlanKill& kill : plan.kills) units.insert(kill.at.unit);
    ForEachItem(plan, [&](const NamedItem& item) {
      ++items;
      empty += item.item.size == 0;
      large += item.item.size > 32 * 1024;
      pages += item.item.whole_pages;
      with_metadata += item.item.metadata_size != 0;
    });
  }
  EXPECT_EQ(actions.size(), kActionWords.size());
  EXPECT_GE(units.size(), 9u);
  EXPECT_GT(met, 600u);
  EXPECT_GT(empty, items / 20);
  EXPECT_GT(large, 20u);
  EXPECT_GT(pages, 5u);
  EXPECT_GT(with_metadata, items / 5);
}

TEST(SegmentOptionsTest, TheFileIsTheSmallestThatHoldsTheHeap) {
  for (const uint64_t heap : {uint64_t{1}, uint64_t{64} * 1024, uint64_t{1'000'000}, uint64_t{1} << 30}) {
    PlanSegment segment;
    segment.heap = heap;
    Result<Options> options = SegmentOptions(segment);
    ASSERT_TRUE(options.ok());
    EXPECT_GE(uint64_t{Geometry::Compute(*options)->heap_granules} * kGranule, heap);
    if (options->size == 64 * kPageSize) continue;
    options->size -= kPageSize;
    const Result<Geometry> smaller = Geometry::Compute(*options);
    EXPECT_TRUE(!smaller.ok() || uint64_t{smaller->heap_granules} * kGranule < heap);
  }
}

TEST(SegmentOptionsTest, TheLargestTablesFitToo) {
  PlanSegment segment;
  segment.max_objects = 1u << 30;
  segment.max_clients = 1024;
  segment.max_pins = 1u << 24;
  EXPECT_TRUE(SegmentOptions(segment).ok());
  segment.heap = uint64_t{1} << 38;
  EXPECT_FALSE(SegmentOptions(segment).ok());
}

}  // namespace
}  // namespace lightning::faults
