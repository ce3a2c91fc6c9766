#include "faults/plan/shrink.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "faults/plan/expand.h"
#include "faults/plan/plan_text.h"

namespace lightning::faults {
namespace {

Plan ManyParts(uint64_t seed) {
  PlanShape shape;
  shape.clients = 4;
  shape.operations = 8;
  shape.kills = 2;
  shape.stops = 1;
  shape.killed_recoverers = 1;
  return ExpandPlan(seed, shape);
}

size_t Operations(const Plan& plan) {
  size_t all = 0;
  for (const PlanClient& client : plan.clients) all += client.before.size() + client.operations.size();
  return all;
}

bool HasPut(const Plan& plan) {
  return std::any_of(plan.clients.begin(), plan.clients.end(), [](const PlanClient& client) {
    return std::any_of(client.operations.begin(), client.operations.end(),
                       [](const PlanOperation& operation) { return operation.action == Action::kPut; });
  });
}

TEST(ShrinkTest, OnlyWhatTheFailureNeedsIsLeft) {
  Plan plan = ManyParts(3);
  ASSERT_TRUE(HasPut(plan));
  const TryPlan attempt = [](const Plan& its) { return HasPut(its) ? std::optional<Plan>(its) : std::nullopt; };
  const Plan small = Shrink(plan, attempt, 30);
  EXPECT_EQ(small.clients.size(), 1u) << PrintPlan(small);
  EXPECT_EQ(Operations(small), 1u) << PrintPlan(small);
  EXPECT_TRUE(small.kills.empty() && small.stops.empty() && small.recoverers.empty());
  EXPECT_EQ(small.clients[0].operations[0].items[0].item.size, 0u);
  EXPECT_EQ(small.segment.max_objects, 1u);
}

TEST(ShrinkTest, EveryPlanThatIsTriedIsOneThatCanBeWrittenDown) {
  const TryPlan attempt = [](const Plan& its) {
    const ParsedPlan parsed = ParsePlan(PrintPlan(its));
    EXPECT_TRUE(parsed) << ShowError(parsed.error) << "\n" << PrintPlan(its);
    return HasPut(its) ? std::optional<Plan>(its) : std::nullopt;
  };
  for (uint64_t seed = 1; seed <= 5; ++seed) Shrink(ManyParts(seed), attempt, 30);
}

TEST(ShrinkTest, WhatFailsInNoOtherWayStaysAsItIs) {
  const Plan plan = ManyParts(4);
  const TryPlan attempt = [](const Plan&) { return std::optional<Plan>(); };
  EXPECT_EQ(Shrink(plan, attempt, 30), plan);
}

TEST(ShrinkTest, WithoutTimeNothingIsTried) {
  const Plan plan = ManyParts(4);
  const TryPlan attempt = [](const Plan& its) {
    ADD_FAILURE() << "tried";
    return std::optional<Plan>(its);
  };
  EXPECT_EQ(Shrink(plan, attempt, 0), plan);
}

}  // namespace
}  // namespace lightning::faults
