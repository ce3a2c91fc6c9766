// The figures of a whole campaign, for people and for programs.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "faults/engine/cross_check.h"
#include "faults/engine/parts.h"
#include "faults/mutants/mutants.h"

namespace lightning::faults {

struct CampaignReport {
  std::string isolation;
  uint64_t seed = 0;
  double seconds = 0;
  StepPart step;
  SimPart sim;
  CrossCheck cross;
  std::vector<KillsPart> kills;
  StrayPart stray;
  OpsPart ops;
  Findings findings;
  bool with_mutants = false;
  std::vector<MutantResult> mutants;
};

// The figures of the real processes, by the names that scripts rely on.
nlohmann::ordered_json KillsToJson(const KillsPart& part);
nlohmann::ordered_json StrayToJson(const StrayPart& part);
// One JSON object with the names that scripts rely on.
std::string ToJson(const CampaignReport& report);
// Whether nothing was found, and every mutant was.
bool IsClean(const CampaignReport& report);

}  // namespace lightning::faults
