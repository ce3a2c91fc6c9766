// What lightning-bench measures, one function a file. Each adds its rows to the report.
#pragma once

#include "bench/report.h"
#include "bench/settings.h"

namespace lightning::bench {

void MeasureYcsb(const Settings& settings, Report* report);        // ycsb_*, scale_*
void MeasureSmall(const Settings& settings, Report* report);       // get, put and delete of 1 KB, in each mode
void MeasureLarge(const Settings& settings, Report* report);       // put_*_over_memcpy, in each mode
void MeasureRecovery(const Settings& settings, Report* report);    // recovery_us*
void MeasurePopulation(const Settings& settings, Report* report);  // get_1e7_over_1e3

}  // namespace lightning::bench
