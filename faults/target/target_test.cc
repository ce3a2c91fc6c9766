// The targets that come with the harness, and the planted ones by which it is known to see what it should.
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "faults/engine/blocked.h"
#include "faults/engine/target_engine.h"
#include "faults/engine/tracee.h"
#include "faults/target/target_host.h"

namespace lightning::faults {
namespace {

constexpr uint64_t kSeed = 1;

std::string PathOf(const std::string& name) {
  return std::string(LIGHTNING_BIN_DIR) + "/../lib/targets/" + name + ".so";
}

class TargetTest : public testing::Test {
 protected:
  void SetUp() override { SetVictimProgram(std::string(LIGHTNING_BIN_DIR) + "/lightning-faults"); }
  void TearDown() override { SetVictimProgram("/proc/self/exe"); }

  // A whole round, or until the first finding.
  static void RunRound(TargetEngine& engine, size_t operations, bool first_only) {
    ASSERT_EQ(engine.Prepare(), "");
    if (first_only) engine.StopAtFirst();
    engine.Run(kSeed, operations, Clock::time_point::max(), /*quiet=*/true);
    EXPECT_EQ(engine.error(), "");
  }
};

// A planted bug, the kind of verdict that it must get, and how many operations it needs.
struct Planted {
  const char *name, *kind;
  size_t operations;
};

class PlantedBug : public TargetTest, public testing::WithParamInterface<Planted> {};

TEST_P(PlantedBug, IsCaughtAndItsCommandShowsItAgain) {
  const TargetFile file{PathOf(GetParam().name), false};
  TargetEngine engine(file);
  RunRound(engine, GetParam().operations, /*first_only=*/true);
  ASSERT_EQ(engine.findings().size(), 1u);
  const TargetFinding& found = engine.findings()[0];
  EXPECT_EQ(found.verdict.kind, GetParam().kind) << found.verdict.text;
  EXPECT_FALSE(found.undisturbed);
  EXPECT_NE(found.line, "");

  TargetEngine again(file);
  ASSERT_EQ(again.Prepare(), "");
  // As the command does it: by counting instructions, without knowing where they stand.
  again.RunAt(found.seed, GetParam().operations, found.healer, {found.point.operation, found.point.instruction});
  EXPECT_EQ(again.error(), "");
  ASSERT_EQ(again.findings().size(), 1u);
  EXPECT_EQ(again.findings()[0].verdict.text, found.verdict.text);
  EXPECT_EQ(again.findings()[0].line, found.line);
}

INSTANTIATE_TEST_SUITE_P(Kinds, PlantedBug,
                         testing::Values(Planted{"planted_torn", "content", 2}, Planted{"planted_left_lock", "hang", 1},
                                         Planted{"planted_drift", "invariant", 1},
                                         Planted{"planted_aborts", "crash", 1}),
                         [](const auto& planted) { return std::string(planted.param.name); });

void ExpectNothing(const TargetEngine& engine) {
  for (const TargetFinding& finding : engine.findings()) ADD_FAILURE() << finding.verdict.text << " " << finding.line;
  EXPECT_EQ(engine.unstepped(), 0u);
}

TEST_F(TargetTest, TheSameStoreWithoutBugsSurvivesEveryDeath) {
  TargetEngine engine({PathOf("planted_nothing"), false});
  RunRound(engine, 1, /*first_only=*/false);
  ExpectNothing(engine);
  for (const Healer healer : kHealers) {
    const TargetFigures& figures = engine.figures(healer);
    EXPECT_GT(figures.distinct, 10u);
    EXPECT_EQ(figures.judged, figures.distinct);
    EXPECT_GE(figures.changes, figures.distinct);
  }
  EXPECT_EQ(engine.left(), 0u);
}

TEST_F(TargetTest, LightningSurvivesASampleOfDeaths) {
  TargetEngine engine({PathOf("lightning_target"), false});
  engine.JudgeAtMost(120);
  RunRound(engine, 1, /*first_only=*/false);
  ExpectNothing(engine);
  EXPECT_EQ(engine.figures(Healer::kSurvivor).judged + engine.figures(Healer::kNewcomer).judged, 120u);
  EXPECT_GT(engine.left(), 0u);
}

TEST_F(TargetTest, TheMutexOfADeadOwnerIsAHang) {
  const TargetFile file{PathOf("boost_interprocess_target"), false};
  if (!std::filesystem::exists(file.path)) GTEST_SKIP() << "built without Boost.Interprocess";
  TargetEngine engine(file);
  RunRound(engine, 1, /*first_only=*/true);
  ASSERT_EQ(engine.findings().size(), 1u);
  EXPECT_EQ(engine.findings()[0].verdict.kind, "hang");
  EXPECT_NE(engine.findings()[0].verdict.text.find("futex, without a timeout"), std::string::npos);
}

// What is found in LMDB depends on its version and compiler (docs/targets.md); that it can be tested does not.
TEST_F(TargetTest, LmdbIsSteppedAndJudged) {
  const TargetFile file{PathOf("lmdb_target"), false};
  if (!std::filesystem::exists(file.path)) GTEST_SKIP() << "built without LMDB";
  TargetEngine engine(file);
  RunRound(engine, 1, /*first_only=*/false);
  for (const TargetFinding& finding : engine.findings()) EXPECT_FALSE(finding.undisturbed) << finding.verdict.text;
  for (const Healer healer : kHealers) {
    EXPECT_EQ(engine.figures(healer).judged, engine.figures(healer).distinct);
    EXPECT_GT(engine.figures(healer).judged, 10u);
    EXPECT_LT(engine.figures(healer).bad, engine.figures(healer).judged / 2);
  }
}

TEST_F(TargetTest, APrivateStoreIsFoundWithoutAnyDeath) {
  // A program that answers `ok` to everything: what it is told to keep, nobody else sees.
  const std::string path = testing::TempDir() + "/forgets";
  FILE* script = fopen(path.c_str(), "w");
  ASSERT_NE(script, nullptr);
  fputs("#!/bin/sh\nwhile read -r line; do echo ok; done\n", script);
  fclose(script);
  std::filesystem::permissions(path, std::filesystem::perms::owner_all);
  TargetEngine engine({path, true});
  RunRound(engine, 1, /*first_only=*/false);
  ASSERT_EQ(engine.findings().size(), 1u);
  EXPECT_TRUE(engine.findings()[0].undisturbed);
  EXPECT_EQ(engine.findings()[0].verdict.kind, "content");
}

TEST_F(TargetTest, AProgramFollowsFromItsSeed) {
  for (const uint64_t seed : {1u, 2u, 3u}) {
    const TargetProgram a = MakeTargetProgram(seed, 20), b = MakeTargetProgram(seed, 20);
    ASSERT_EQ(a.operations.size(), 21u);
    Pairs pairs = a.initial;
    for (size_t i = 0; i < a.operations.size(); ++i) {
      EXPECT_EQ(a.operations[i].Command(), b.operations[i].Command());
      if (a.operations[i].kind == TargetOperation::kRemove) {
        EXPECT_TRUE(pairs.contains(a.operations[i].key));
      }
      EXPECT_LE(a.operations[i].value.size(), 200u);
      a.operations[i].ApplyTo(&pairs);
    }
  }
  EXPECT_NE(MakeTargetProgram(1, 3).operations[1].Command(), MakeTargetProgram(2, 3).operations[1].Command());
}

TEST_F(TargetTest, AProcessThatCanGoOnIsNotBlocked) {
  // This one runs, and waits for nothing.
  EXPECT_EQ(BlockedForever(getpid()), "");
  EXPECT_GT(UseOf(getpid()).processor_ms + UseOf(getpid()).sleeps, 0u);
}

TEST_F(TargetTest, WhatIsNoTargetIsSaid) {
  const lightning_target* target = nullptr;
  EXPECT_NE(LoadTarget("/nonexistent.so", &target), "");
  EXPECT_EQ(LoadTarget(PathOf("planted_nothing"), &target), "");
  EXPECT_EQ(target->version, static_cast<uint32_t>(LIGHTNING_TARGET_VERSION));
}

}  // namespace
}  // namespace lightning::faults
