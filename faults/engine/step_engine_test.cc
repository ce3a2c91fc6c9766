#include "faults/engine/step_engine.h"

#include <gtest/gtest.h>

#include "faults/engine/stepper.h"
#include "faults/engine/victim.h"
#include "faults/plan/expand.h"
#include "faults/plan/plan_segment.h"
#include "faults/plan/plan_text.h"
#include "faults/report/source_line.h"
#include "faults/target/segments.h"

namespace lightning::faults {
namespace {

class StepEngineTest : public testing::Test {
 protected:
  void SetUp() override { SetVictimProgram(std::string(LIGHTNING_BIN_DIR) + "/lightning-faults"); }
};

TEST_F(StepEngineTest, EveryInstructionOfADeleteMayBeTheLast) {
  StepEngine engine;
  engine.Run(NamedRun("delete", 5));
  for (const Finding& finding : engine.findings()) ADD_FAILURE() << finding.what;
  EXPECT_GT(engine.figures().instructions, 500u);
  EXPECT_GT(engine.figures().crash_states, 30u);
  EXPECT_LE(engine.figures().distinct, engine.figures().crash_states);
}

TEST_F(StepEngineTest, ARunRepeatsItselfInstructionForInstruction) {
  StepEngine one, two;
  one.Run(NamedRun("put-replace", 9));
  two.Run(NamedRun("put-replace", 9));
  EXPECT_EQ(one.figures().instructions, two.figures().instructions);
  EXPECT_EQ(one.figures().crash_states, two.figures().crash_states);
  EXPECT_TRUE(one.findings().empty() && two.findings().empty());
}

StepRun Parsed(const std::string& text) {
  const ParsedPlan parsed = ParsePlan("lightning plan 1\n" + text);
  EXPECT_TRUE(parsed) << ShowError(parsed.error);
  return {parsed ? *parsed.plan : Plan(), "a plan", "again"};
}

TEST_F(StepEngineTest, WhatTheDeadReplacedAndALivingReaderPinsIsNoLeak) {
  StepEngine engine;
  engine.Run(
      Parsed("client reader {\n before {\n put \"k\" size 100 tag 1\n pin \"k\"\n }\n}\n"
             "client dead {\n put \"k\" size 50 tag 2\n}\n"
             "client healer {\n put \"k\" size 70 tag 3\n}\n"
             "kill dead at commit 2\n"));
  for (const Finding& finding : engine.findings()) ADD_FAILURE() << finding.what;
  EXPECT_GT(engine.figures().distinct, 50u);
}

TEST_F(StepEngineTest, APlanOfSeveralOperationsIsSteppedFromEndToEnd) {
  StepEngine engine;
  engine.Run(Parsed(
      "segment {\n max-clients 5\n heap 300K\n}\n"
      "client a {\n before {\n put \"k\" size 100 tag 1\n subscribe\n create \"mine\" size 10 tag 2\n }\n delete "
      "\"k\"\n}\n"
      "client b {\n get \"k\"\n put \"k\" size 7 tag 3 metadata 9\n pin \"k\"\n put \"mine\" size 1 tag 4\n"
      " replace \"k\" size 8 tag 5\n batch {\n put \"l\" size 6 tag 6\n put \"m\" tag 7\n }\n"
      " create \"n\" size 70000 tag 8 pages\n seal \"n\"\n unpin \"k\"\n list \"\"\n contains \"l\"\n next-event\n"
      " subscribe\n next-event\n unsubscribe\n evict 100\n check\n recover\n detach\n attach\n delete "
      "\"absent\"\n}\n"));
  for (const Finding& finding : engine.findings()) ADD_FAILURE() << finding.what;
  EXPECT_GT(engine.figures().distinct, 300u);
}

TEST_F(StepEngineTest, ExpandedPlansAreStepped) {
  StepEngine engine;
  PlanShape shape;
  shape.engine = Engine::kStep;
  shape.clients = 2;
  shape.operations = 3;
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    engine.Run({ExpandPlan(seed, shape), "seed " + std::to_string(seed), "again"});
    for (const Finding& finding : engine.findings()) FAIL() << finding.what;
  }
}

TEST_F(StepEngineTest, RecoveriesInsideRecoveriesAreStepped) {
  StepDepth depth;
  depth.depth = 2;
  depth.samples = 2;
  StepEngine engine(Isolation::kNone, depth);
  engine.Run(NamedRun("put-replace", 3));
  for (const Finding& finding : engine.findings()) ADD_FAILURE() << finding.what;
  ASSERT_EQ(engine.figures().in_recovery.size(), 2u);
  EXPECT_EQ(engine.figures().recoveries, 6u) << "two, and two from each";
  EXPECT_GT(engine.figures().in_recovery[0], 40u);
  EXPECT_GT(engine.figures().in_recovery[1], 80u);
}

TEST_F(StepEngineTest, AStateInsideARecoveryIsReachedAgain) {
  StepEngine engine;
  bool exact = true;
  engine.RunTo(NamedRun("put-replace", 3), {700, 3000, 2000}, &exact);
  for (const Finding& finding : engine.findings()) ADD_FAILURE() << finding.what;
  EXPECT_EQ(engine.figures().distinct, 1u);
}

TEST_F(StepEngineTest, APlanThatItCannotStepIsAFinding) {
  for (const char* text : {"client a {\n}\n", "client a {\n check\n}\nclient b {\n check\n}\nkill a at point 3\n"}) {
    StepEngine engine;
    engine.Run(Parsed(text));
    EXPECT_EQ(engine.findings().size(), 1u);
  }
}

TEST_F(StepEngineTest, StopsAtOneInstruction) {
  StepEngine engine;
  bool exact = true;
  engine.RunTo(NamedRun("put-insert", 2), {300}, &exact);
  EXPECT_TRUE(engine.findings().empty());
  EXPECT_EQ(engine.figures().distinct, 1u);
  EXPECT_GE(engine.figures().instructions, 300u);
}

TEST_F(StepEngineTest, ARealKillIsRecoveredByARealClient) {
  StepEngine engine;
  for (const uint64_t at : {100u, 500u, 900u}) engine.KillAt(NamedRun("put-replace", 4), at);
  for (const Finding& finding : engine.findings()) ADD_FAILURE() << finding.what;
  EXPECT_EQ(engine.figures().real_kills, 3u);
}

TEST_F(StepEngineTest, EveryChangeOfTheControlRegionIsSeen) {
  // The stepper looks only where an instruction may have stored, and proves at the end that this was enough.
  const Plan plan = ScenarioPlan("put-batch", 6);
  Result<std::unique_ptr<FileSegment>> file = FileSegment::Create(*SegmentOptions(plan.segment));
  ASSERT_TRUE(file.ok());
  PlanFile plan_file;
  ASSERT_EQ(plan_file.Write(plan), "");
  Tracee victim;
  ASSERT_EQ(victim.Start(VictimProgram(), {"lightning-faults", "victim", "--plan", plan_file.path(), "--client",
                                           "victim", "--path", (*file)->path()}),
            "");
  ASSERT_EQ(victim.RunToMarker(), "");
  Stepper stepper(victim, (*file)->segment(), (*file)->path());
  StepCounts counts;
  bool ended = false;
  std::string place;
  auto on_change = [&](uint64_t, uint64_t address) {
    if (place.empty()) place = SourceLine(victim.pid(), address);
    return true;
  };
  EXPECT_EQ(stepper.Run(1'000'000, on_change, &counts, &ended), "");
  EXPECT_TRUE(ended);
  EXPECT_GT(counts.changes, 100u);
  EXPECT_NE(place.find("store/"), std::string::npos) << place;
  EXPECT_EQ(victim.Finish(), 0);
}

TEST_F(StepEngineTest, AVictimThatCannotStartIsAFinding) {
  SetVictimProgram("/bin/false");
  StepEngine engine;
  engine.Run(NamedRun("delete", 5));
  EXPECT_EQ(engine.findings().size(), 1u);
}

}  // namespace
}  // namespace lightning::faults
