#include "faults/report/junit.h"

#include <fmt/format.h>

#include <vector>

#include "faults/report/markup.h"

namespace lightning::faults {
namespace {

struct Case {
  std::string suite, name;
  double seconds = 0;
  std::string skipped;  // why
  std::vector<std::string> failures;
};

std::string FailureText(const Finding& finding) { return finding.what + "\nagain: " + finding.reproduce; }

void AddStep(const CampaignReport& report, std::vector<Case>* cases) {
  for (const OperationRecord& operation : report.step.record.operations())
    cases->push_back({"step", operation.name, operation.seconds, "", {}});
  if (report.step.seconds > 0 && report.step.record.operations().empty())
    cases->push_back({"step", "step", report.step.seconds, "", {}});
}

void AddOthers(const CampaignReport& report, std::vector<Case>* cases) {
  double kills = 0;
  for (const KillsPart& part : report.kills) kills += part.seconds;
  if (kills > 0) cases->push_back({"kills", "kills", kills, "", {}});
  if (report.sim.seconds > 0 || !report.sim.cannot_run.empty())
    cases->push_back({"sim", "sim", report.sim.seconds, report.sim.cannot_run, {}});
  if (report.ops.seconds > 0) cases->push_back({"ops", "ops", report.ops.seconds, "", {}});
  if (report.stray.seconds > 0 || !report.stray.cannot_run.empty())
    cases->push_back({"stray", "stray", report.stray.seconds, report.stray.cannot_run, {}});
  for (const MutantResult& mutant : report.mutants) {
    Case its{"mutants", mutant.name, mutant.seconds, "", {}};
    if (mutant.cannot_run)
      its.skipped = mutant.error;
    else if (!mutant.caught)
      its.failures.push_back(fmt::format("{}\nagain: lightning-faults mutants --only {}",
                                         mutant.error.empty() ? "the planted bug was not caught" : mutant.error,
                                         mutant.name));
    cases->push_back(std::move(its));
  }
}

// To the case of the operation or part that it names; else to one of its own, so that none is lost.
void AddFindings(const CampaignReport& report, std::vector<Case>* cases) {
  for (const Finding& finding : report.findings) {
    Case* its = nullptr;
    for (Case& one : *cases) {
      const bool named = one.name == finding.part || finding.what.starts_with(one.name + ",");
      if (one.suite == finding.part && named && one.skipped.empty()) its = &one;
    }
    if (its == nullptr) its = &cases->emplace_back(Case{finding.part, finding.part + ", other", 0, "", {}});
    its->failures.push_back(FailureText(finding));
  }
}

std::string Show(const Case& its) {
  std::string text = fmt::format("    <testcase classname=\"lightning-faults.{}\" name=\"{}\" time=\"{:.3f}\">\n",
                                 EscapeMarkup(its.suite), EscapeMarkup(its.name), its.seconds);
  for (const std::string& failure : its.failures)
    text += fmt::format("      <failure message=\"{}\">{}</failure>\n",
                        EscapeMarkup(failure.substr(0, failure.find('\n'))), EscapeMarkup(failure));
  if (!its.skipped.empty()) text += fmt::format("      <skipped message=\"{}\"/>\n", EscapeMarkup(its.skipped));
  return text + "    </testcase>\n";
}

}  // namespace

std::string ToJunit(const CampaignReport& report) {
  std::vector<Case> cases;
  AddStep(report, &cases);
  AddOthers(report, &cases);
  AddFindings(report, &cases);
  std::string suites;
  size_t all_failed = 0;
  for (const char* suite : {"step", "sim", "kills", "ops", "stray", "mutants"}) {
    std::string text;
    size_t tests = 0, failed = 0, skipped = 0;
    double seconds = 0;
    for (const Case& its : cases) {
      if (its.suite != suite) continue;
      text += Show(its);
      ++tests;
      failed += !its.failures.empty();
      skipped += !its.skipped.empty();
      seconds += its.seconds;
    }
    if (tests == 0) continue;
    all_failed += failed;
    suites += fmt::format(
        "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"{}\" time=\"{:.3f}\">\n"
        "    <properties>\n      <property name=\"seed\" value=\"{}\"/>\n"
        "      <property name=\"isolation\" value=\"{}\"/>\n    </properties>\n{}  </testsuite>\n",
        suite, tests, failed, skipped, seconds, report.seed, EscapeMarkup(report.isolation), text);
  }
  return fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
      "<testsuites name=\"lightning-faults\" tests=\"{}\" failures=\"{}\" errors=\"0\" time=\"{:.3f}\">\n{}"
      "</testsuites>\n",
      cases.size(), all_failed, report.seconds, suites);
}

}  // namespace lightning::faults
