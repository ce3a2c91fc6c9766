// Each part of a campaign for a moment: it runs, it counts, and on this store it finds nothing.
#include "faults/engine/parts.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "faults/report/campaign_report.h"

namespace lightning::faults {
namespace {

Budget Moment(double seconds, uint64_t at_least = 0) { return {seconds, at_least, true}; }

void ExpectNone(const Findings& findings) {
  for (const Finding& finding : findings) ADD_FAILURE() << finding.what << "\n" << finding.reproduce;
}

TEST(PartsTest, Kills) {
  for (const Isolation isolation : {Isolation::kNone, Isolation::kMprotect}) {
    Findings findings;
    const KillsPart part = RunKillsPart(3, isolation, Moment(0.5, 20), &findings);
    ExpectNone(findings);
    EXPECT_GE(part.count, 20u);
    EXPECT_GT(part.reads, 100u);
  }
}

TEST(PartsTest, StrayWritesDoNotLandAndOpenDoorsAreSeen) {
  Findings findings;
  const StrayPart part = RunStrayPart(3, Isolation::kMprotect, Moment(0.5), &findings);
  ExpectNone(findings);
  EXPECT_GT(part.fired, 1000u);
  EXPECT_EQ(part.landed, 0u);
  EXPECT_GT(part.control_landed, 0u);
}

TEST(PartsTest, StoresThatLandAreFound) {
  // Mode none keeps nothing out: the judge has to see it.
  Findings findings;
  const StrayPart part = RunStrayPart(3, Isolation::kNone, Moment(0.5), &findings);
  EXPECT_EQ(findings.size(), 1u);
  EXPECT_GT(part.landed, 0u);
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
  report.with_mutants = true;
  report.mutants.emplace_back();
  report.findings.push_back({"step", "a \xFF byte", "command"});
  const nlohmann::json json = nlohmann::json::parse(ToJson(report));
  EXPECT_EQ(json["isolation"], "mprotect");
  EXPECT_EQ(json["kills"]["count"], 7);
  EXPECT_EQ(json["failures"].size(), 1u);
  for (const char* name : {"instructions", "crash_states", "distinct", "checked_per_second"})
    EXPECT_TRUE(json["step"].contains(name)) << name;
  for (const char* name : {"fired", "landed"}) EXPECT_TRUE(json["stray"].contains(name)) << name;
  EXPECT_TRUE(json["ops"].contains("count"));
  EXPECT_EQ(json["mutants"][0]["caught"], false);
  EXPECT_FALSE(IsClean(report));
}

}  // namespace
}  // namespace lightning::faults
