#include "faults/report/campaign_report.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace lightning::faults {

std::string ToJson(const CampaignReport& report) {
  using nlohmann::ordered_json;
  ordered_json json;
  json["isolation"] = report.isolation;
  json["seed"] = report.seed;
  json["seconds"] = std::round(report.seconds * 10) / 10;
  json["failures"] = ordered_json::array();
  for (const Finding& finding : report.findings)
    json["failures"].push_back({{"part", finding.part}, {"what", finding.what}, {"reproduce", finding.reproduce}});
  const StepFigures& step = report.step.figures;
  json["step"] = {{"instructions", step.instructions},
                  {"crash_states", step.crash_states},
                  {"distinct", step.distinct},
                  {"checked_per_second", std::round(step.checked_per_second())},
                  {"runs", step.runs},
                  {"really_killed", step.real_kills}};
  const SimPart& sim = report.sim;
  json["sim"] = {{"operations", sim.operations},
                 {"schedules", sim.schedules},
                 {"crash_states", sim.crash_states},
                 {"distinct", sim.distinct},
                 {"kills", sim.kills}};
  if (!sim.cannot_run.empty()) json["sim"]["cannot_run"] = sim.cannot_run;
  uint64_t count = 0, operations = 0, reads = 0;
  for (const KillsPart& part : report.kills) {
    count += part.count;
    operations += part.operations;
    reads += part.reads;
  }
  json["kills"] = {{"count", count}, {"operations", operations}, {"reads", reads}};
  json["stray"] = {{"fired", report.stray.fired},
                   {"landed", report.stray.landed},
                   {"control_fired", report.stray.control_fired},
                   {"control_landed", report.stray.control_landed},
                   {"modes", report.stray.modes}};
  json["ops"] = {{"count", report.ops.count}, {"segments", report.ops.episodes}, {"modes", report.ops.modes}};
  if (report.with_mutants) {
    json["mutants"] = ordered_json::array();
    for (const MutantResult& mutant : report.mutants) {
      ordered_json its = {{"name", mutant.name},
                          {"rule", mutant.rule},
                          {"caught", mutant.caught},
                          {"by", mutant.by},
                          {"seconds", std::round(mutant.seconds * 10) / 10}};
      if (!mutant.error.empty()) its["error"] = mutant.error;
      json["mutants"].push_back(std::move(its));
    }
  }
  // What the store said about itself may hold any bytes.
  return json.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

bool IsClean(const CampaignReport& report) {
  return report.findings.empty() &&
         std::all_of(report.mutants.begin(), report.mutants.end(), [](const MutantResult& m) { return m.caught; });
}

}  // namespace lightning::faults
