#include "faults/engine/step_failure.h"

#include <fmt/format.h>

#include <fstream>
#include <sstream>

#include "faults/plan/plan_text.h"
#include "faults/plan/shrink.h"

namespace lightning::faults {
namespace {

// Crash states from which a recoverer is stepped while a failure inside a recovery is looked for again.
constexpr uint32_t kSamples = 8;

// The plan fails in the same way: where; or nothing.
std::optional<StepFailed> FailsAlike(const Plan& plan, const StepFailed& as, Isolation isolation) {
  StepRun run = as.run;
  run.plan = plan;
  const auto depth = static_cast<uint32_t>(as.at.size() - 1);
  StepEngine engine(isolation, {.depth = depth, .samples = kSamples});
  if (as.killed) {
    engine.KillAt(run, as.at[0]);
  } else {
    engine.Run(run);
  }
  const std::optional<StepFailed>& failed = engine.failed();
  if (!failed || failed->killed != as.killed || FailureClass(failed->problem) != FailureClass(as.problem))
    return std::nullopt;
  return failed;
}

StepFailed Smaller(const StepFailed& failed, Isolation isolation, double seconds) {
  StepFailed best = failed;
  const TryPlan attempt = [&](const Plan& plan) -> std::optional<Plan> {
    std::optional<StepFailed> its = FailsAlike(plan, failed, isolation);
    if (!its) return std::nullopt;
    best = std::move(*its);
    return plan;
  };
  if (seconds > 0) Shrink(failed.run.plan, attempt, seconds);
  return best;
}

// The sentence of the failure, with its evidence; "" when it does not repeat itself.
std::string Look(const StepFailed& failed, Isolation isolation, StepEvidence* evidence) {
  *evidence = {};
  StepEngine engine(isolation);
  engine.set_evidence(evidence);
  bool exact = true;
  if (failed.killed) {
    engine.KillAt(failed.run, failed.at[0]);
  } else {
    engine.RunTo(failed.run, failed.at, &exact);
  }
  const bool same = engine.failed() && FailureClass(engine.failed()->problem) == FailureClass(failed.problem);
  return same && exact ? engine.findings()[0].what : "";
}

}  // namespace

Failure StudyStepFailure(const StepFailed& failed, Isolation isolation, double minimise, const std::string& command) {
  StepFailed small = Smaller(failed, isolation, minimise);
  StepEvidence evidence;
  std::string what = Look(small, isolation, &evidence);
  if (what.empty()) {
    small = failed;
    what = Look(small, isolation, &evidence);
  }
  Failure failure;
  failure.engine = "step";
  failure.kind = FailureClass(failed.problem);
  failure.what = what.empty() ? fmt::format("{} (it did not repeat itself)", failed.problem) : what;
  failure.command = command;
  failure.plan = small.run.plan;
  failure.found_as = failed.run.plan;
  failure.settings = {{"at", small.at}, {"kill", small.killed}, {"mode", IsolationName(isolation)}};
  if (VictimProgram() != kOwnProgram) failure.settings["victim"] = VictimProgram();
  failure.before = std::move(evidence.before);
  failure.after = std::move(evidence.after);
  failure.trace = std::move(evidence.trace);
  return failure;
}

std::string ReadStepReplay(const std::string& folder, const nlohmann::json& verdict, StepReplay* replay) {
  const std::string file = folder + "/plan.txt";
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  ParsedPlan parsed = ParsePlan(text.str());
  if (!parsed) return file + ":" + ShowError(parsed.error);
  replay->run = {std::move(*parsed.plan), file, "lightning-faults step --plan " + file};
  const auto at = verdict.find("at");
  if (at == verdict.end() || !at->is_array() || at->empty()) return "the verdict does not say at which instruction";
  for (const nlohmann::json& number : *at) {
    if (!number.is_number_unsigned()) return "the verdict's instructions are no numbers";
    replay->at.push_back(number.get<uint64_t>());
  }
  replay->kill = verdict.value("kill", false);
  replay->kind = verdict.value("class", "");
  if (!ParseIsolation(verdict.value("mode", "none").c_str(), &replay->isolation))
    return "the verdict names no mode of isolation";
  if (verdict.contains("victim")) SetVictimProgram(verdict.value("victim", ""));
  return "";
}

Findings RunStepReplay(StepReplay* replay, StepEvidence* evidence) {
  StepEngine engine(replay->isolation);
  engine.set_evidence(evidence);
  bool exact = true;
  if (replay->kill) {
    engine.KillAt(replay->run, replay->at[0]);
  } else {
    engine.RunTo(replay->run, replay->at, &exact);
  }
  const auto same = [&](const StepEngine& its) {
    return its.failed() && FailureClass(its.failed()->problem) == replay->kind;
  };
  if (replay->kill || (exact && same(engine))) return engine.findings();
  const auto depth = static_cast<uint32_t>(replay->at.size() - 1);
  StepEngine search(replay->isolation, {.depth = depth, .samples = kSamples});
  search.set_evidence(evidence);
  search.Run(replay->run);
  if (!same(search) && same(engine)) return engine.findings();
  if (search.failed()) replay->at = search.failed()->at;
  return search.findings();
}

}  // namespace lightning::faults
