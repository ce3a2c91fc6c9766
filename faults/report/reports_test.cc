#include <gtest/gtest.h>

#include "faults/report/campaign_page.h"
#include "faults/report/junit.h"
#include "faults/report/markup.h"

namespace lightning::faults {
namespace {

bool Has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

CampaignReport Failed() {
  CampaignReport report;
  report.seed = 7;
  report.isolation = "mprotect";
  report.step.seconds = 1;
  report.step.record = [] {
    StepRecord record;
    record.AddRun("delete, seed 7", "again", {{16, PointOutcome::kBefore}, {20, PointOutcome::kFailed}}, 0.5);
    record.AddRun("evict, seed 7", "again", {{24, PointOutcome::kAfter}}, 0.5);
    return record;
  }();
  report.findings.push_back(
      {"step", "delete, seed 7, instruction 2: <lost> & \"gone\"\x01", "lightning-faults step --at 2"});
  return report;
}

TEST(Reports, MarkupHoldsAnyBytes) {
  EXPECT_EQ(EscapeMarkup("<a b=\"c\">&\n"), "&lt;a b=&quot;c&quot;&gt;&amp;\n");
  EXPECT_EQ(EscapeMarkup(std::string_view("a\0b\x1F", 4)),
            "a\xEF\xBF\xBD"
            "b\xEF\xBF\xBD");
  EXPECT_EQ(EscapeMarkup("\xC3\xA4\xE2\x82\xAC"), "\xC3\xA4\xE2\x82\xAC");
  EXPECT_EQ(EscapeMarkup("\xC3("), "\xEF\xBF\xBD(");
}

TEST(Reports, JunitShowsAFailureWithItsCommandAtItsOperationAlone) {
  const std::string xml = ToJunit(Failed());
  EXPECT_TRUE(Has(xml, "again: lightning-faults step --at 2</failure>")) << xml;
  EXPECT_TRUE(Has(xml, "&lt;lost&gt; &amp; &quot;gone&quot;\xEF\xBF\xBD")) << xml;
  EXPECT_TRUE(Has(xml, "tests=\"2\" failures=\"1\" errors=\"0\" skipped=\"0\"")) << xml;
}

TEST(Reports, JunitKeepsAFindingOfAPartThatHasNoCase) {
  CampaignReport report;
  report.findings.push_back({"kills", "lost", "lightning-faults kills --seed 1"});
  EXPECT_TRUE(Has(ToJunit(report), "failures=\"1\""));
  EXPECT_TRUE(Has(ToJunit(report), "lightning-faults kills --seed 1"));
}

TEST(Reports, APartThatCannotRunIsSkippedAndNotPassed) {
  CampaignReport report;
  report.stray.cannot_run = "no <keys>";
  EXPECT_TRUE(Has(ToJunit(report), "<skipped message=\"no &lt;keys&gt;\"/>"));
}

TEST(Reports, ThePageShowsAFailureWithItsCommand) {
  const std::string html = ToPage(Failed(), {}, {});
  EXPECT_TRUE(Has(html, "<pre>lightning-faults step --at 2</pre>"));
  EXPECT_TRUE(Has(html, "&lt;lost&gt;"));
  EXPECT_FALSE(Has(html, "<lost>"));
  EXPECT_TRUE(Has(html, "failed at 2"));
}

TEST(Reports, AMissedMutantIsAFailureInBoth) {
  CampaignReport report;
  report.with_mutants = true;
  MutantResult missed;
  missed.name = "log-after-store";
  report.mutants.push_back(missed);
  EXPECT_TRUE(Has(ToJunit(report), "mutants --only log-after-store</failure>"));
  EXPECT_TRUE(Has(ToPage(report, {}, {}), "1 planted bugs not caught"));
}

TEST(Reports, OfAnEmptyRunSayThatNothingRan) {
  EXPECT_TRUE(Has(ToPage({}, {}, {}), "Nothing ran."));
  EXPECT_TRUE(Has(ToJunit({}), "tests=\"0\" failures=\"0\""));
  EXPECT_EQ(ToLcov({}), "");
}

TEST(Coverage, CountsAreThoseOfJudgedDeathsAndSurviveTheFile) {
  const Coverage coverage{{{"store/log/a.cc", {{3, 5, 2, 1}, {4, 5, 0, 0}, {9, 0, 0, 0}}}}, ""};
  const std::string lcov = ToLcov(coverage);
  EXPECT_EQ(lcov, "TN:crash_coverage\nSF:store/log/a.cc\nDA:3,2\nDA:4,0\nDA:9,0\nLF:3\nLH:1\nend_of_record\n");
  EXPECT_EQ(ToLcov(CoverageFromJson(CoverageToJson(coverage))), lcov);
  EXPECT_EQ(LineRanges(coverage.files[0], [](const LineCounts& l) { return l.judged == 0; }), "4-9");
  EXPECT_DOUBLE_EQ(Sum(coverage, "store/log/").percent(), 50);
  EXPECT_NE(CoverageFromJson("{").error, "");
  EXPECT_NE(CoverageFromJson("{\"format\": \"another\"}").error, "");
}

TEST(Coverage, AnInstructionThatRanAndWasNotJudgedDoesNotCount) {
  StepRecord record;
  record.Fold({{8, PointOutcome::kUnchanged}, {9, PointOutcome::kBefore}}, /*judged=*/false, /*last_judged=*/true);
  EXPECT_EQ(record.points()[8].stepped, 1u);
  EXPECT_EQ(record.points()[8].judged, 0u);
  EXPECT_EQ(record.points()[9].judged, 1u);
  EXPECT_EQ(record.points()[9].changed, 1u);
}

}  // namespace
}  // namespace lightning::faults
