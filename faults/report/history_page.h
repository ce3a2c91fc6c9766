// The picture of a violation as one HTML page that needs nothing else.
#pragma once

#include <string>

#include "faults/check/history_file.h"
#include "faults/check/linearizability.h"
#include "faults/report/history_timeline.h"

namespace lightning::faults {

// Of a history that is not illegal it says only the verdict.
std::string HistoryPage(const HistoryFile& file, const HistoryVerdict& verdict, const HistoryPicture& picture);

}  // namespace lightning::faults
