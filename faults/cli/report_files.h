// The files that a run leaves for people and for other programs.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "faults/report/campaign_report.h"

namespace lightning::faults {

struct ReportFiles {
  std::string html, junit, lcov, data;  // empty: not wanted
};

// --html, --junit, --lcov, --data.
void AddReportOptions(CLI::App* app, ReportFiles* files);
// Says before the work whether they can be written: kWell, or kUsage after a message.
int TryReports(const ReportFiles& files);
// kWell, or kUsage after a message.
int WriteReports(const ReportFiles& files, const CampaignReport& report);
// The same for one text.
int WriteText(const std::string& file, const std::string& text);

}  // namespace lightning::faults
