// What was done inside a window that may not be there is written to $LIGHTNING_WINDOW_REPORTS.PID, or without that
// variable to stderr, where it ends the process.
#pragma once

#include <cstdint>

#include "store/watch/deeds.h"

namespace lightning {

// By this thread, at the instruction `at`; `caller`: where the function that it is in returns to, or null. May be
// called by a handler. Says with it which calls of this program led there. The first reports of a process are written,
// the others are not.
void ReportDeed(Deed deed, uint64_t at, const void* caller);

}  // namespace lightning
