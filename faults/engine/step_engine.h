// Kill at every instruction: the release binary runs one instruction at a time, and after each that changed the control
// region the segment's bytes are a crash state, which is recovered and judged on a copy.
#pragma once

#include <string>
#include <unordered_set>

#include "faults/plan/step_plan.h"
#include "faults/report/finding.h"
#include "lightning/options.h"

namespace lightning::faults {

struct StepFigures {
  uint64_t instructions = 0;
  uint64_t crash_states = 0;
  uint64_t distinct = 0;
  uint64_t real_kills = 0;
  uint64_t runs = 0;
  double checking_seconds = 0;
  double checked_per_second() const {
    return checking_seconds > 0 ? static_cast<double>(distinct) / checking_seconds : 0;
  }
};

class StepEngine {
 public:
  explicit StepEngine(Isolation isolation = Isolation::kNone) : isolation_(isolation) {}

  // Steps one operation from end to end and judges each distinct state. Findings end the run early.
  void Run(const std::string& name, uint64_t seed);
  // The same, but judges only the state after instruction `at`; `*exact` is false when that instruction changed
  // nothing, and then the next one that did is judged.
  void RunTo(const std::string& name, uint64_t seed, uint64_t at, bool* exact);
  // Kills the real process after `at` instructions; the client that lives on recovers the real file.
  void KillAt(const std::string& name, uint64_t seed, uint64_t at);

  const StepFigures& figures() const { return figures_; }
  const Findings& findings() const { return findings_; }
  // Instructions of the last run.
  uint64_t last_instructions() const { return last_instructions_; }

 private:
  struct Scene;  // a segment, its bystander, its victim at the first marker
  std::string Prepare(Scene& scene, const StepPlan& plan);
  std::string KillInside(Scene& scene, const StepPlan& plan);
  std::string StartVictim(Scene& scene, const StepPlan& plan);
  std::string JudgeSurvivor(Scene& scene);
  uint64_t HashState(const Scene& scene) const;
  void Report(const StepPlan& plan, const std::string& what, uint64_t at, const std::string& where);

  const Isolation isolation_;
  StepFigures figures_;
  Findings findings_;
  std::unordered_set<uint64_t> seen_;
  uint64_t last_instructions_ = 0;
};

}  // namespace lightning::faults
