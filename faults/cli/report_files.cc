#include "faults/cli/report_files.h"

#include <fmt/format.h>

#include <fstream>

#include "faults/cli/commands.h"
#include "faults/cli/output.h"
#include "faults/engine/tracee.h"
#include "faults/report/campaign_page.h"
#include "faults/report/junit.h"

namespace lightning::faults {

void AddReportOptions(CLI::App* app, ReportFiles* files) {
  app->add_option("--html", files->html, "Writes one page that shows everything to this file");
  app->add_option("--junit", files->junit, "Writes JUnit XML to this file");
  app->add_option("--lcov", files->lcov, "Writes the lines that a client was killed on, in LCOV's format");
  app->add_option("--data", files->data, "Writes the same for `lightning-faults coverage`");
}

int WriteText(const std::string& file, const std::string& text) {
  std::ofstream stream(file, std::ios::binary | std::ios::trunc);
  stream << text;
  stream.close();
  return stream ? kWell : Usage("cannot write " + file);
}

int TryReports(const ReportFiles& files) {
  for (const std::string* file : {&files.html, &files.junit, &files.lcov, &files.data}) {
    if (file->empty()) continue;
    // What is there stays until there is something to say.
    if (!std::ofstream(*file, std::ios::binary | std::ios::app)) return Usage("cannot write " + *file);
  }
  return kWell;
}

int WriteReports(const ReportFiles& files, const CampaignReport& report) {
  Coverage coverage;
  LineTable table;
  if (!files.html.empty() || !files.lcov.empty() || !files.data.empty()) {
    if (!report.step.record.operations().empty()) table = LineTable::Load(VictimProgram(), &coverage.error);
    if (coverage.error.empty()) coverage = Resolve(report.step.record, table);
  }
  if (!coverage.error.empty()) fmt::print(stderr, "no crash coverage: {}\n", coverage.error);
  int status = kWell;
  auto write = [&](const std::string& file, const std::string& text) {
    if (!file.empty() && status == kWell) status = WriteText(file, text);
  };
  write(files.junit, ToJunit(report));
  write(files.lcov, ToLcov(coverage));
  write(files.data, CoverageToJson(coverage));
  write(files.html, files.html.empty() ? "" : ToPage(report, coverage, table));
  return status;
}

}  // namespace lightning::faults
