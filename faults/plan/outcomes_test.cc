#include "faults/plan/outcomes.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "faults/plan/plan_segment.h"
#include "faults/plan/plan_text.h"
#include "faults/plan/step_plan.h"

namespace lightning::faults {
namespace {

bool Has(const std::vector<Content>& contents, const Content& content) {
  return std::find(contents.begin(), contents.end(), content) != contents.end();
}

// All that may be found inside the operations of the stepped client, each of which goes well.
std::vector<Content> AllAllowed(const Plan& plan, std::vector<Content>* endings, int64_t* events) {
  Outcomes outcomes(plan);
  std::vector<Content> all;
  for (size_t i = 0; i < plan.clients[SteppedClient(plan)].operations.size(); ++i) {
    const Expectation expectation = outcomes.Next();
    for (const Possible& possible : expectation.allowed) {
      if (!Has(all, possible.content)) all.push_back(possible.content);
      *events = std::max(*events, possible.events);
    }
    endings->clear();
    for (const Ending& ending : expectation.endings) {
      if (ending.code == Code::kOk) endings->push_back(ending.content);
    }
    EXPECT_FALSE(endings->empty());
    if (endings->empty()) return all;
    outcomes.Ended(Code::kOk, endings->back());
  }
  return all;
}

// The generator of the named scenarios builds by hand what the model says by itself.
TEST(OutcomesTest, TheModelAndTheGeneratorAgreeOnEveryScenario) {
  for (const std::string_view name : StepNames()) {
    for (uint64_t seed = 1; seed <= 100; ++seed) {
      const StepPlan step = MakeStepPlan(name, seed);
      const Plan plan = ScenarioPlan(name, seed);
      int64_t events = -1;
      std::vector<Content> endings;
      const std::vector<Content> allowed = AllAllowed(plan, &endings, &events);
      for (const Content& content : allowed) ASSERT_TRUE(Has(step.allowed, content)) << name << ", seed " << seed;
      // The generator lets an eviction go on to the end; the model knows where it stops.
      if (name != "evict") {
        for (const Content& content : step.allowed) ASSERT_TRUE(Has(allowed, content)) << name << ", seed " << seed;
      }
      ASSERT_TRUE(allowed[0] == step.allowed[0] || !step.dead_operation.empty()) << name << ", seed " << seed;
      for (const Content& content : endings) ASSERT_TRUE(Has(step.allowed, content)) << name << ", seed " << seed;
      if (step.events >= 0 && name != "put-evict") {
        ASSERT_EQ(events, step.events) << name << ", seed " << seed;
      }
      const Result<Options> options = SegmentOptions(plan.segment);
      ASSERT_TRUE(options.ok());
      ASSERT_EQ(options->size, step.options.size) << name;
    }
  }
}

TEST(OutcomesTest, ScenariosHaveATextForm) {
  for (const std::string_view name : StepNames()) {
    const Plan plan = ScenarioPlan(name, 5);
    const ParsedPlan parsed = ParsePlan(PrintPlan(plan));
    ASSERT_TRUE(parsed) << name << ": " << ShowError(parsed.error);
    EXPECT_TRUE(*parsed.plan == plan) << name;
  }
}

Plan Parsed(const std::string& text) {
  const ParsedPlan parsed = ParsePlan("lightning plan 1\n" + text);
  EXPECT_TRUE(parsed) << ShowError(parsed.error);
  return parsed ? *parsed.plan : Plan();
}

TEST(OutcomesTest, AnErrorOfTheInterfaceIsPredictedAndChangesNothing) {
  struct Case {
    const char* operation;
    Code code;
  };
  for (const Case& its :
       {Case{"get \"absent\"", Code::kNotFound}, Case{"delete \"absent\"", Code::kNotFound},
        Case{"replace \"k\" size 2", Code::kVersionMismatch}, Case{"replace \"absent\"", Code::kNotFound},
        Case{"create \"k\"", Code::kAlreadyExists}, Case{"create \"mine\"", Code::kBeingCreated},
        Case{"put \"mine\"", Code::kBeingCreated}, Case{"delete \"mine\"", Code::kBeingCreated}}) {
    const Plan plan =
        Parsed(std::string("client a {\n before {\n put \"k\" size 1\n create \"mine\"\n }\n}\nclient b {\n") +
               its.operation + "\n}\n");
    Outcomes outcomes(plan);
    const Expectation expectation = outcomes.Next();
    ASSERT_EQ(expectation.allowed.size(), 1u) << its.operation;
    ASSERT_EQ(expectation.endings.size(), 1u) << its.operation;
    EXPECT_EQ(expectation.endings[0].code, its.code) << its.operation;
    EXPECT_EQ(expectation.endings[0].content, expectation.allowed[0].content) << its.operation;
  }
}

TEST(OutcomesTest, AClientKilledOnTheWayMayHaveStoppedAnywhere) {
  const Plan plan =
      Parsed("client a {\n put \"k\" size 1\n put \"k\" size 2\n}\nclient b {\n delete \"k\"\n}\nkill a at store 9\n");
  Outcomes outcomes(plan);
  const Expectation expectation = outcomes.Next();
  EXPECT_EQ(expectation.allowed.size(), 3u) << "nothing, the first, the second";
  EXPECT_EQ(expectation.touched, (std::vector<std::string>{"k", "k", "k"}));
  bool found = false, absent = false;
  for (const Ending& ending : expectation.endings) {
    found |= ending.code == Code::kOk;
    absent |= ending.code == Code::kNotFound;
    EXPECT_TRUE(ending.content.empty());
  }
  EXPECT_TRUE(found && absent);
}

TEST(OutcomesTest, AFullSegmentMayRefuse) {
  const Plan plan =
      Parsed("segment {\n max-objects 1\n}\nclient a {\n before {\n put \"k\" size 1\n }\n put \"l\" size 1\n}\n");
  const Expectation expectation = Outcomes(plan).Next();
  EXPECT_TRUE(std::any_of(expectation.endings.begin(), expectation.endings.end(),
                          [](const Ending& ending) { return ending.code == Code::kTooManyObjects; }));
}

}  // namespace
}  // namespace lightning::faults
