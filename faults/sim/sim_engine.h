// Plan after plan, schedule after schedule, until the time is over or something is wrong.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "faults/check/word_place.h"
#include "faults/plan/plan.h"
#include "faults/sim/crash_judge.h"
#include "faults/sim/simulation.h"

namespace lightning::faults {

struct SimOptions {
  uint64_t seed = 1;
  double seconds = 10;
  std::optional<Plan> plan;      // only this one, as it says; else plans that follow from the seed
  Memory memory = Memory::kTso;  // of the plans that follow from the seed
  uint32_t operations = 0;       // of each client of those plans; zero: few, and how many follows from the seed
  bool crash_states = true;
  bool kills = true;              // plans that follow from the seed have kills and stops
  uint32_t depth = 2;             // healers that may die in turn
  uint64_t nested_share = 2'000;  // one crash state in so many has its healers killed
  bool twice = false;             // every run is done twice and must do the same
  uint64_t schedules = 0;         // at most so many; zero: as the time allows
  bool quiet = false;
  SimEvidence* evidence = nullptr;  // filled at the first failure
};

struct SimFailure {
  std::string what, kind;    // one sentence; the same without its names and numbers
  Plan plan;                 // replays it
  bool crash_states = true;  // whether those were looked at
};

// What a run is for: to look at everybody's death at each store, or to see many interleavings, which are a thousand
// times as quick when nobody looks.
enum class RunKind : uint8_t { kCrashStates, kInterleavings, kInterleavingsWithoutKills };

struct SimFigures {
  SimCounts counts;
  uint64_t plans = 0, schedules = 0;
  CrashCounts crashes;
  double seconds = 0;
  // Of the runs of each kind.
  double kind_seconds[3] = {};
  uint64_t kind_operations[3] = {};

  // Runs in which nobody is killed and no crash state looked at; where there were none, all runs.
  double operations_per_second() const;
  // Of the runs that looked at them.
  double crash_states_per_second() const;
};

class SimEngine {
 public:
  explicit SimEngine(SimOptions options) : options_(std::move(options)) {}
  void Run();
  const SimFigures& figures() const { return figures_; }
  const std::vector<SimFailure>& failures() const { return failures_; }
  // Every kind of word that some run stored to through the hooks.
  const std::set<WordPlace>& stored() const { return stored_; }

 private:
  RunKind KindOfRun(uint64_t number) const;
  Plan NextPlan(uint64_t number) const;
  void RunPlan(const Plan& plan, uint64_t number);
  void AddCounts(const Simulation& sim, RunKind kind);
  // What is wrong with one run, or "". After an assertion failed, `sim` must not be touched again.
  std::string RunOnce(Simulation& sim, Strategy& strategy, CrashJudge* judge, bool* died);
  void Note(const Plan& plan, const Simulation& sim, RunKind kind, const std::string& what);
  void NoteStored(Simulation& sim);
  bool Over() const;

  const SimOptions options_;
  SimFigures figures_;
  std::vector<SimFailure> failures_;
  std::set<WordPlace> stored_;
  double began_ = 0;
  std::chrono::steady_clock::time_point deadline_;
};

// A failure's text without names and numbers: what a smaller plan must still show.
std::string KindOf(const std::string& what);

}  // namespace lightning::faults
