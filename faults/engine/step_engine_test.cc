#include "faults/engine/step_engine.h"

#include <gtest/gtest.h>

#include "faults/engine/stepper.h"
#include "faults/engine/victim.h"
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
  engine.Run("delete", 5);
  for (const Finding& finding : engine.findings()) ADD_FAILURE() << finding.what;
  EXPECT_GT(engine.figures().instructions, 500u);
  EXPECT_GT(engine.figures().crash_states, 30u);
  EXPECT_LE(engine.figures().distinct, engine.figures().crash_states);
}

TEST_F(StepEngineTest, ARunRepeatsItselfInstructionForInstruction) {
  StepEngine one, two;
  one.Run("put-replace", 9);
  two.Run("put-replace", 9);
  EXPECT_EQ(one.figures().instructions, two.figures().instructions);
  EXPECT_EQ(one.figures().crash_states, two.figures().crash_states);
  EXPECT_TRUE(one.findings().empty() && two.findings().empty());
}

TEST_F(StepEngineTest, WhatTheDeadReplacedAndALivingReaderPinsIsNoLeak) {
  StepEngine engine;
  engine.Run("put-heals", 11223641941093393297u);  // there the dead had replaced the key that the bystander pins
  for (const Finding& finding : engine.findings()) ADD_FAILURE() << finding.what;
}

TEST_F(StepEngineTest, StopsAtOneInstruction) {
  StepEngine engine;
  bool exact = true;
  engine.RunTo("put-insert", 2, 300, &exact);
  EXPECT_TRUE(engine.findings().empty());
  EXPECT_EQ(engine.figures().distinct, 1u);
  EXPECT_GE(engine.figures().instructions, 300u);
}

TEST_F(StepEngineTest, ARealKillIsRecoveredByARealClient) {
  StepEngine engine;
  for (const uint64_t at : {100u, 500u, 900u}) engine.KillAt("put-replace", 4, at);
  for (const Finding& finding : engine.findings()) ADD_FAILURE() << finding.what;
  EXPECT_EQ(engine.figures().real_kills, 3u);
}

TEST_F(StepEngineTest, EveryChangeOfTheControlRegionIsSeen) {
  // The stepper looks only where an instruction may have stored, and proves at the end that this was enough.
  const StepPlan plan = MakeStepPlan("put-batch", 6);
  Result<std::unique_ptr<FileSegment>> file = FileSegment::Create(plan.options);
  ASSERT_TRUE(file.ok());
  Result<Client> bystander = (*file)->Attach();
  ASSERT_TRUE(bystander.ok());
  Held held;
  ASSERT_EQ(DoSetup(*bystander, plan.bystander, &held), "");
  Tracee victim;
  ASSERT_EQ(victim.Start(VictimProgram(), {"lightning-faults", "victim", "--op", plan.name, "--seed",
                                           std::to_string(plan.seed), "--path", (*file)->path()}),
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
  engine.Run("delete", 5);
  EXPECT_EQ(engine.findings().size(), 1u);
}

}  // namespace
}  // namespace lightning::faults
