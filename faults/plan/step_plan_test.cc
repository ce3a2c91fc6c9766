#include "faults/plan/step_plan.h"

#include <gtest/gtest.h>

#include "store/segment/geometry.h"

namespace lightning::faults {
namespace {

TEST(StepPlanTest, EachNameAndSeedMakesTheSamePlanTwice) {
  for (const std::string_view name : StepNames()) {
    for (const uint64_t seed : {1u, 2u, 99u}) {
      const StepPlan one = MakeStepPlan(name, seed), two = MakeStepPlan(name, seed);
      EXPECT_EQ(one.allowed, two.allowed) << name;
      EXPECT_EQ(one.touched, two.touched) << name;
      EXPECT_EQ(one.options.hash_seed, two.options.hash_seed) << name;
      EXPECT_EQ(one.dead_seed, two.dead_seed) << name;
      ASSERT_EQ(one.objects.size(), two.objects.size()) << name;
      for (size_t i = 0; i < one.objects.size(); ++i) EXPECT_EQ(one.objects[i].item, two.objects[i].item) << name;
    }
  }
}

TEST(StepPlanTest, EachPlanIsOneThatCanRun) {
  for (const std::string_view name : StepNames()) {
    for (uint64_t seed = 1; seed <= 30; ++seed) {
      const StepPlan plan = MakeStepPlan(name, seed);
      EXPECT_FALSE(plan.allowed.empty()) << name;
      EXPECT_TRUE(Geometry::Compute(plan.options).ok()) << name;
      for (const Content& content : plan.allowed) EXPECT_LE(content.size(), plan.options.max_objects) << name;
    }
  }
}

// What a reader of the bytes can tell of an item.
bool LooksLike(const Item& one, const Item& two) {
  return Pattern(one.size, one.tag) == Pattern(two.size, two.tag) &&
         Pattern(one.metadata_size, MetadataTag(one.tag)) == Pattern(two.metadata_size, MetadataTag(two.tag));
}

TEST(StepPlanTest, TwoItemsThatAKeyMayHoldNeverLookAlike) {
  for (const std::string_view name : StepNames()) {
    for (uint64_t seed = 1; seed <= 300; ++seed) {
      const StepPlan plan = MakeStepPlan(name, seed);
      for (const Content& one : plan.allowed) {
        for (const Content& two : plan.allowed) {
          for (const auto& [key, item] : one) {
            const auto other = two.find(key);
            if (other == two.end() || other->second == item) continue;
            ASSERT_FALSE(LooksLike(item, other->second)) << name << ", seed " << seed << ", key " << key;
          }
        }
      }
    }
  }
}

TEST(StepPlanTest, KnowsItsNames) {
  EXPECT_TRUE(IsStepName("put-replace"));
  EXPECT_FALSE(IsStepName("put"));
}

}  // namespace
}  // namespace lightning::faults
