// From a failure of the step engine to what is left of it: a smaller plan that fails in the same way, its images and
// trace, in a folder of its own.
#pragma once

#include <string>

#include "faults/engine/step_engine.h"
#include "faults/report/failure_folder.h"

namespace lightning::faults {

// Makes the plan smaller for at most so many seconds (0: not at all), then runs to the failure again and looks at it.
// `command`: that found it. `settings` of the result: "at", "kill", "mode", and "victim" where that is another program.
Failure StudyStepFailure(const StepFailed& failed, Isolation isolation, double minimise, const std::string& command);

// What a folder holds, once more: plan and settings as StudyStepFailure left them.
struct StepReplay {
  StepRun run;
  std::vector<uint64_t> at;
  bool kill = false;
  std::string kind;  // the class of the failure
  Isolation isolation = Isolation::kNone;
};
// From a folder's verdict and plan; an error text, or "". Sets the victim's program if it was another one.
std::string ReadStepReplay(const std::string& folder, const nlohmann::json& verdict, StepReplay* replay);
// Judges the state at `at`; if that is not a failure of the class, all states: another build, or a processor for which
// the C library chooses other code, has its instructions elsewhere, and then `at` becomes where it fails here. Its
// findings: none when it does not fail any more. `evidence`: what it leaves, unless that is null.
Findings RunStepReplay(StepReplay* replay, StepEvidence* evidence = nullptr);

}  // namespace lightning::faults
