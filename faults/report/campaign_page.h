// A campaign as one HTML file that needs nothing else: no script, no network; light or dark as the reader's system is.
#pragma once

#include <string>

#include "faults/report/campaign_report.h"
#include "faults/report/coverage.h"
#include "faults/report/line_table.h"

namespace lightning::faults {

// `table` names the source line of each operation's commit; an empty one leaves that out.
std::string ToPage(const CampaignReport& report, const Coverage& coverage, const LineTable& table);

}  // namespace lightning::faults
