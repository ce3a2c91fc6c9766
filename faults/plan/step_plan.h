// What one run of the step engine does: a small segment, what its clients do first, the one operation that is stepped,
// and every content that may be found after a death inside it. Follows from a name and a seed alone.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "faults/plan/plan.h"
#include "lightning/options.h"

namespace lightning::faults {

enum class StepKind : uint8_t {
  kPut,
  kReplace,
  kPutBatch,
  kCreateSeal,
  kCreateAbort,
  kDelete,
  kEvict,
  kSubscribe,
  kUnsubscribe,
  kAttach,
  kDetach,
  kRecover,
};

// One thing that a client does before the stepped operation.
struct SetupStep {
  enum Kind : uint8_t { kPut, kDelete, kPin, kSubscribe, kCreate } kind = kPut;
  NamedItem object;
};

struct StepPlan {
  std::string name;
  uint64_t seed = 0;
  Options options;
  uint64_t heap = 0;                 // bytes that options.size has room for
  std::vector<SetupStep> bystander;  // done first, by a client that lives on
  std::vector<SetupStep> victim;     // done by the client that is stepped
  StepKind kind = StepKind::kPut;
  std::vector<NamedItem> objects;  // what the operation puts, creates, deletes
  uint64_t evict_bytes = 0;
  // Another client was killed at a random store of this plan's operation before the victim came.
  std::string dead_operation;
  uint64_t dead_seed = 0;

  std::vector<Content> allowed;      // the first: before; the last: after the whole operation
  std::vector<std::string> touched;  // keys that the operation is about
  int events = -1;                   // that the operation appends when somebody listens; -1: nobody does
};

// All operations that there are, in the order of the report.
std::span<const std::string_view> StepNames();
bool IsStepName(std::string_view name);
// REQUIRES: IsStepName(name).
StepPlan MakeStepPlan(std::string_view name, uint64_t seed);
// The same as the engine runs it: "bystander", perhaps "dead", who is killed inside its operation, and "victim", who is
// stepped. What may be found follows from it by the sequential model (outcomes.h); a test holds that against `allowed`.
Plan ScenarioPlan(std::string_view name, uint64_t seed);

}  // namespace lightning::faults
