// What a run of the step engine plays with. Internal to the engine.
#pragma once

#include <deque>
#include <memory>
#include <optional>

#include "faults/check/image_checker.h"
#include "faults/engine/plan_runner.h"
#include "faults/engine/step_engine.h"
#include "faults/engine/stepper.h"
#include "faults/engine/victim.h"
#include "faults/target/segments.h"

namespace lightning::faults {

// Far more than any operation takes on a small segment: a loop that does not end is a failure too.
inline constexpr uint64_t kTooManyInstructions = 20'000'000;

struct StepEngine::Scene {
  Plan plan;  // first: the others point into it
  PlanFile plan_file;
  std::unique_ptr<FileSegment> file;
  std::deque<PlanRunner> bystanders;
  std::vector<PlanRunner*> by_client;  // null for the processes
  std::deque<Tracee> processes;
  std::vector<Tracee*> process_of;  // null for the bystanders
  Tracee* victim = nullptr;
  std::optional<Stepper> stepper;
  std::optional<Outcomes> outcomes;
  JudgeOptions judge;
  std::optional<ImageChecker> checker;
  std::unordered_set<uint64_t> seen;  // states of the operation
  std::vector<Sample> samples;
  uint64_t sampled = 0;  // states that could have been samples
  StepCounts counts;
  bool ended = false;
};

struct StepEngine::Recoverer {
  PlanFile plan_file;
  std::unique_ptr<FileSegment> file;
  Tracee process;
  std::optional<Stepper> stepper;
};

// How the programs that a Tracee starts are called.
std::vector<std::string> VictimArguments(const PlanFile& plan, const std::string& client, const std::string& path,
                                         Isolation isolation);

}  // namespace lightning::faults
