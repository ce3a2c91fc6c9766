#include "faults/report/campaign_report.h"

#include <algorithm>
#include <cmath>

namespace lightning::faults {

namespace {

void AddKills(const KillsPart& part, KillsPart* sum) {
  sum->count += part.count;
  sum->operations += part.operations;
  sum->reads += part.reads;
  sum->disjoint += part.disjoint;
  sum->stopped += part.stopped;
  sum->continued += part.continued;
  sum->beside_stopped += part.beside_stopped;
  sum->forked += part.forked;
  sum->recycled_pids += part.recycled_pids;
  sum->directory_full += part.directory_full;
  if (!part.cannot_recycle.empty()) sum->cannot_recycle = part.cannot_recycle;
  if (!part.cannot_fill.empty()) sum->cannot_fill = part.cannot_fill;
}

}  // namespace

nlohmann::ordered_json KillsToJson(const KillsPart& part) {
  nlohmann::ordered_json json = {{"count", part.count},
                                 {"operations", part.operations},
                                 {"reads", part.reads},
                                 {"shared", part.operations - part.disjoint},
                                 {"disjoint", part.disjoint},
                                 {"stopped", part.stopped},
                                 {"continued", part.continued},
                                 {"beside_stopped", part.beside_stopped},
                                 {"forked", part.forked},
                                 {"recycled_pids", part.recycled_pids},
                                 {"directory_full", part.directory_full}};
  if (!part.cannot_recycle.empty()) json["cannot_recycle"] = part.cannot_recycle;
  if (!part.cannot_fill.empty()) json["cannot_fill"] = part.cannot_fill;
  return json;
}

nlohmann::ordered_json StrayToJson(const StrayPart& part) {
  const auto figures = [](const StrayFigures& its) {
    return nlohmann::ordered_json{{"fired", its.fired},
                                  {"faulted", its.faulted},
                                  {"private", its.in_private},
                                  {"landed", its.landed},
                                  {"landed_in_window", its.landed_in_window},
                                  {"during", its.during}};
  };
  nlohmann::ordered_json json = figures(part.total());
  json["per_minute"] = std::round(part.per_minute());
  json["control_fired"] = part.control_fired;
  json["control_landed"] = part.control_landed;
  json["operations"] = part.operations;
  json["rounds"] = part.rounds;
  json["died"] = part.died;
  json["modes"] = part.modes;
  for (size_t i = 0; i < part.targets.size(); ++i) json["targets"][StrayPart::TargetName(i)] = figures(part.targets[i]);
  json["landings"] = part.landings;
  return json;
}

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
  KillsPart kills;
  for (const KillsPart& part : report.kills) AddKills(part, &kills);
  json["kills"] = KillsToJson(kills);
  json["cross_check"] = {{"stepped", report.cross.stepped}, {"hooked", report.cross.hooked}};
  if (!report.cross.cannot_run.empty()) json["cross_check"]["cannot_run"] = report.cross.cannot_run;
  json["stray"] = StrayToJson(report.stray);
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
