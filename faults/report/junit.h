// A campaign as JUnit XML, which CI systems show: one test case for each part, stepped operation and planted bug.
#pragma once

#include <string>

#include "faults/report/campaign_report.h"

namespace lightning::faults {

// A failure's text ends with the command that shows it again. A part that could not run is skipped, with its reason.
std::string ToJunit(const CampaignReport& report);

}  // namespace lightning::faults
