// Each part of a campaign for a moment: it runs, it counts, and on this store it finds nothing.
#include "faults/engine/parts.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "faults/engine/full_directory.h"
#include "faults/report/campaign_report.h"
#include "store/gate/process_key.h"

namespace lightning::faults {
namespace {

Budget Moment(double seconds, uint64_t at_least = 0) { return {seconds, at_least, true}; }

void ExpectNone(const Findings& findings) {
  for (const Finding& finding : findings) ADD_FAILURE() << finding.what << "\n" << finding.reproduce;
}

TEST(PartsTest, Kills) {
  for (const Isolation isolation : {Isolation::kNone, Isolation::kMprotect}) {
    Findings findings;
    const KillsPart part = RunKillsPart(3, isolation, Moment(0.5, 60), &findings);
    ExpectNone(findings);
    EXPECT_GE(part.count, 60u);
    EXPECT_GT(part.reads, 100u);
    EXPECT_GT(part.disjoint, 100u);
    EXPECT_GT(part.operations, part.disjoint + 100);
    EXPECT_GT(part.stopped, 0u);
    EXPECT_GT(part.continued, 0u);
    EXPECT_GT(part.beside_stopped, 0u);
    EXPECT_GT(part.forked, 0u);
    EXPECT_GT(part.linear_states, 100u);
    EXPECT_NE(part.directory_full == 0, part.cannot_fill.empty()) << part.cannot_fill;
    EXPECT_NE(part.recycled_pids == 0, part.cannot_recycle.empty()) << part.cannot_recycle;
  }
}

TEST(PartsTest, AWorkerWithoutRoomForItsHistoryPausesLikeTheOthers) {
  Findings findings;
  const KillsPart part = RunKillsPart(3, Isolation::kNone, Moment(0.5, 24), &findings, {.records = 20});
  ExpectNone(findings);
  EXPECT_GE(part.rounds, 2u);
  EXPECT_GT(part.operations, 0u);
}

TEST(PartsTest, AWorkerThatLiesInItsHistoryIsCaught) {
  Findings findings;
  RunKillsPart(3, Isolation::kNone, Moment(0, 200), &findings, {.lies = true});
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_NE(findings[0].what.find("key 0: "), std::string::npos) << findings[0].what;
}

TEST(PartsTest, AWorkerThatHangsIsNamedWithWhereItStands) {
  Findings findings;
  RunKillsPart(3, Isolation::kNone, Moment(0, 20), &findings, {.hangs = true, .patience = 3'000'000'000});
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_NE(findings[0].what.find("survivor 0 hangs: "), std::string::npos) << findings[0].what;
  EXPECT_NE(findings[0].what.find("Hang"), std::string::npos) << findings[0].what;
}

TEST(PartsTest, ADirectoryThatIsNotFullIsNoTestOfAFullOne) {
  const FullDirectory full = TryFullDirectory(3, Isolation::kNone, /*leave_room=*/true);
  if (!full.cannot_run.empty()) GTEST_SKIP() << full.cannot_run;
  EXPECT_EQ(full.error, "a segment was made in a full directory");
}

TEST(PartsTest, StrayWritesDoNotLandAndOpenDoorsAreSeen) {
  Findings findings;
  const StrayPart part = RunStrayPart(3, Isolation::kMprotect, Moment(0.5), &findings);
  ExpectNone(findings);
  EXPECT_GT(part.total().fired, 1000u);
  EXPECT_EQ(part.total().landed, 0u);
  EXPECT_EQ(part.total().fired, part.total().faulted + part.total().in_private);
  EXPECT_GT(part.control_landed, 0u);
  for (const StrayFigures& target : part.targets) EXPECT_GT(target.fired, 0u);
}

TEST(PartsTest, StrayWritesBesideClientsAtWorkLandOnlyWhereAWindowOfTheProcessIsOpen) {
  Findings findings;
  const StrayPart part = RunStrayPart(3, Isolation::kMprotect, Moment(1), &findings, {.works = true});
  ExpectNone(findings);
  EXPECT_GT(part.operations, 100u);
  EXPECT_GT(part.total().during, 1000u);
  EXPECT_EQ(part.total().landed_in_window, part.total().landed);
}

TEST(PartsTest, APageThatStaysOpenBetweenTheWindowsOfAnOperationIsFound) {
  Findings findings;
  const StrayPart part =
      RunStrayPart(3, Isolation::kMprotect, Moment(60), &findings, {.works = true, .plant_open_page = true});
  ASSERT_EQ(findings.size(), 1u) << "nothing found in " << part.seconds << " seconds";
  EXPECT_NE(findings[0].what.find("while that client had no window open"), std::string::npos) << findings[0].what;
}

TEST(PartsTest, InModeHiddenWhatIsAimedLandsAndWhatMissesDoesNot) {
  Findings findings;
  const StrayPart part = RunStrayPart(3, Isolation::kHidden, Moment(0.5), &findings, {.works = true});
  ExpectNone(findings);
  const auto& [aimed, anywhere, view, near, wild, own] = part.targets;
  EXPECT_EQ(aimed.landed, aimed.fired);
  EXPECT_EQ(anywhere.landed, anywhere.fired);
  for (const StrayFigures& misses : {view, near, wild}) EXPECT_EQ(misses.faulted, misses.fired);
  EXPECT_EQ(own.in_private, own.fired);
  ASSERT_FALSE(part.landings.empty());
  EXPECT_NE(part.landings[0].find("control mapping of client"), std::string::npos) << part.landings[0];
}

TEST(PartsTest, StrayWritesBesideClientsAtWorkDoNotLandInModeKeys) {
  if (!MachineHasKeys()) GTEST_SKIP() << "this machine has no protection keys";
  Findings findings;
  const StrayPart part = RunStrayPart(3, Isolation::kKeys, Moment(1), &findings, {.works = true});
  ExpectNone(findings);
  EXPECT_GT(part.total().during, 1000u);
  EXPECT_EQ(part.total().landed, 0u);
}

TEST(PartsTest, StoresThatLandAreFound) {
  // Mode none keeps nothing out: the judge has to see it.
  Findings findings;
  const StrayPart part = RunStrayPart(3, Isolation::kNone, Moment(0.5), &findings);
  EXPECT_EQ(findings.size(), 1u);
  EXPECT_GT(part.total().landed, 0u);
}

TEST(PartsTest, Ops) {
  Findings findings;
  const OpsPart part = RunOpsPart(3, "memory", Moment(0, 20'000), &findings);
  ExpectNone(findings);
  EXPECT_GE(part.count, 20'000u);
}

TEST(CampaignReportTest, HasTheNamesThatScriptsRelyOn) {
  CampaignReport report;
  report.isolation = "mprotect";
  report.seed = 5;
  report.kills.resize(2);
  report.kills[0].count = 3;
  report.kills[1].count = 4;
  report.kills[1].stopped = 5;
  report.with_mutants = true;
  report.mutants.emplace_back();
  report.findings.push_back({"step", "a \xFF byte", "command"});
  const nlohmann::json json = nlohmann::json::parse(ToJson(report));
  EXPECT_EQ(json["isolation"], "mprotect");
  EXPECT_EQ(json["kills"]["count"], 7);
  EXPECT_EQ(json["kills"]["stopped"], 5);
  for (const char* name : {"continued", "forked", "recycled_pids", "directory_full", "disjoint"})
    EXPECT_EQ(json["kills"][name], 0) << name;
  EXPECT_EQ(json["failures"].size(), 1u);
  for (const char* name : {"instructions", "crash_states", "distinct", "checked_per_second"})
    EXPECT_TRUE(json["step"].contains(name)) << name;
  for (const char* name : {"fired", "faulted", "private", "landed", "per_minute"})
    EXPECT_TRUE(json["stray"].contains(name)) << name;
  EXPECT_TRUE(json["ops"].contains("count"));
  EXPECT_EQ(json["mutants"][0]["caught"], false);
  EXPECT_FALSE(IsClean(report));
}

}  // namespace
}  // namespace lightning::faults
