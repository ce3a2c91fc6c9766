// Kill at every instruction: the release binary runs one instruction at a time, and after each that changed the control
// region the segment's bytes are a crash state, which is recovered and judged on a copy. Recovery is stepped the same
// way: from some of those states a recoverer process starts, each state inside its work is one more, and so on.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "faults/check/word_place.h"
#include "faults/engine/tracee.h"
#include "faults/model/random.h"
#include "faults/plan/step_plan.h"
#include "faults/report/finding.h"
#include "faults/report/step_record.h"
#include "lightning/options.h"
#include "store/segment/segment.h"

namespace lightning::faults {

class Stepper;

// What is stepped, and how a report names it.
struct StepRun {
  Plan plan;
  std::string title;    // "put-replace, seed 7"
  std::string command;  // that steps it again, to which --at is added
};
// REQUIRES: IsStepName(name).
StepRun NamedRun(const std::string& name, uint64_t seed);

// Where and how a run failed.
struct StepFailed {
  StepRun run;
  std::vector<uint64_t> at;  // instructions of the client, of its recoverer, and so on; {0}: before the first
  std::string problem;
  bool killed = false;  // found by KillAt
};

// What there is to say about a failure once its place is known.
struct StepEvidence {
  std::vector<std::byte> before, after;  // the segment at the death; recovered by a fresh client, as far as that came
  std::string trace;                     // the last instructions, and all that changed the segment
};

struct StepDepth {
  uint32_t depth = 0;    // recoveries inside recoveries that are stepped; 0: none
  uint32_t samples = 1;  // crash states of each operation, and of each recovery, from which one is stepped
  bool all = false;      // from all of an operation's distinct states
};

struct StepFigures {
  uint64_t instructions = 0;
  uint64_t crash_states = 0;
  uint64_t distinct = 0;              // those of the operations themselves; each was judged
  std::vector<uint64_t> in_recovery;  // distinct ones by depth, from 1
  uint64_t recoveries = 0;            // stepped
  uint64_t real_kills = 0;
  uint64_t runs = 0;
  double checking_seconds = 0;
  uint64_t judged() const {
    uint64_t all = distinct;
    for (const uint64_t states : in_recovery) all += states;
    return all;
  }
  double checked_per_second() const {
    return checking_seconds > 0 ? static_cast<double>(judged()) / checking_seconds : 0;
  }
};

class StepEngine {
 public:
  explicit StepEngine(Isolation isolation = Isolation::kNone, const StepDepth& depth = {})
      : isolation_(isolation), depth_(depth) {}

  // Steps the operations of the plan's last client from end to end and judges each distinct state. Clients in front of
  // it take turns in this process, but for those that the plan kills, which are stepped to their end. Kills of the last
  // client itself say nothing here: each of its instructions is one. Findings end the run early.
  void Run(const StepRun& run);
  // The same, but judges only the state after instruction at[0]; with at[1], the state after that instruction of a
  // recoverer that met it, and so on. `*exact` is false when an instruction changed nothing, and then the next one that
  // did counts. REQUIRES: `at` not empty.
  void RunTo(const StepRun& run, const std::vector<uint64_t>& at, bool* exact);
  // Kills the real process after `at` instructions; the client that lives on recovers the real file.
  void KillAt(const StepRun& run, uint64_t at);

  // The process in which the failure happened, stopped right before the last instruction of `at`, and the name of its
  // segment's file. The process may be let go; it does not outlive the call.
  using Show = std::function<std::string(Tracee& process, const std::string& path)>;
  // What `show` returned, or why it could not be called.
  std::string StopAt(const StepRun& run, const std::vector<uint64_t>& at, const Show& show);

  void set_depth(const StepDepth& depth) { depth_ = depth; }
  // RunTo and KillAt fill it when they fail. It outlives the engine.
  void set_evidence(StepEvidence* evidence) { evidence_ = evidence; }
  // Run() does everything twice; a second time that differs is a finding.
  void set_twice(bool twice) { twice_ = twice; }
  const std::optional<StepFailed>& failed() const { return failed_; }

  const StepFigures& figures() const { return figures_; }
  const Findings& findings() const { return findings_; }
  // Every instruction that was stepped, and what came of a death after it.
  const StepRecord& record() const { return record_; }
  // Every word that changed: cross_check.h.
  const ChangedWords& words() const { return words_; }
  // Instructions of the last run.
  uint64_t last_instructions() const { return last_instructions_; }

 private:
  using Image = std::vector<std::byte>;
  struct Sample {
    uint64_t instruction = 0;
    Image image;
  };
  struct Scene;      // a segment, its bystanders, its victim at the first marker
  struct Recoverer;  // a copy of a crash state, and the process that recovers it
  // What to do at a new distinct state; false: stop.
  using OnState = std::function<bool(uint64_t instruction, uint64_t address)>;

  // step_scene.cc: up to the first operation.
  std::string Prepare(Scene& scene, const Plan& plan);
  std::string StartAll(Scene& scene, const Plan& plan);
  std::string RunUpTo(Scene& scene, const Plan& plan);
  std::string StartProcess(Scene& scene, Tracee& tracee, const std::string& client);
  std::string KillInside(Scene& scene, const Plan& plan, size_t client);
  std::string SetUpChecker(Scene& scene, const Plan& plan);

  // Steps one operation after the other; at each change `on_change`.
  std::string StepAll(Scene& scene, const StepRun& run, const OnState& on_change, const std::function<void()>& on_end);
  std::string EndOperation(Scene& scene, size_t operation, size_t operations);
  bool Judge(Scene& scene, const StepRun& run, uint64_t instruction, uint64_t address);
  void Keep(const Segment& segment, uint64_t instruction, bool all, std::vector<Sample>* samples, uint64_t* seen);

  // step_recovery.cc: the recoverer is a victim too.
  std::string StartRecoverer(Scene& scene, Recoverer& recoverer, const Image& image);
  void StepRecovery(Scene& scene, const StepRun& run, const std::vector<uint64_t>& path, const Image& image);
  void RecoverTo(Scene& scene, const StepRun& run, const std::vector<uint64_t>& at, size_t level, const Image& image,
                 bool* exact);

  std::string JudgeSurvivor(Scene& scene);
  // Up to instruction `limit` of the stepped client, judging nothing. An error text, or "".
  std::string StepUpTo(Scene& scene, uint64_t limit);
  // The client again, from the beginning. Where it does something else is a finding.
  void RunAgain(const StepRun& run, const StepTrace& first);

  // step_evidence.cc.
  void BeginEvidence(Stepper& stepper);
  void Capture(Scene& scene, const Segment& segment, Stepper& stepper, const Tracee& process);
  std::string StopRecovererAt(Scene& scene, const std::vector<uint64_t>& at, size_t level, const Image& image,
                              const Show& show);
  static uint64_t HashState(const Segment& segment);
  void Report(const StepRun& run, const std::string& what, const std::vector<uint64_t>& at, const std::string& where);

  const Isolation isolation_;
  StepDepth depth_;
  StepFigures figures_;
  Findings findings_;
  StepRecord record_;
  ChangedWords words_;
  Random random_{1};
  uint64_t last_instructions_ = 0;
  std::optional<StepFailed> failed_;
  StepEvidence* evidence_ = nullptr;
  bool twice_ = false;
};

}  // namespace lightning::faults
