// Trying mutants, for the command of that name and for the campaign.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "faults/mutants/mutants.h"

namespace lightning::faults {

// Tries those of faults/mutants with these names (all when there are none) and prints a row for each. kWell: all were
// caught; kFound: not all, or one does not apply; kUsage: no such name; kCannotRun: no sources here.
int RunMutants(const std::vector<std::string>& names, uint64_t seed, bool quiet, std::vector<MutantResult>* results);

}  // namespace lightning::faults
