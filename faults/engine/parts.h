// The parts of a campaign: each works for a while and says what it did and found.
#pragma once

#include <array>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "faults/engine/step_engine.h"
#include "faults/report/finding.h"
#include "lightning/options.h"

namespace lightning::faults {

// For how long, and whether to say how far it is.
struct Budget {
  double seconds = 60;
  uint64_t at_least = 0;  // operations, kills, or rounds of stepping; goes before the seconds
  bool quiet = false;
};

struct StepPart {
  StepFigures figures;
  StepRecord record;
  double seconds = 0;
  std::optional<StepFailed> failed = {};
  ChangedWords words = {};
};
// What an engine did in that time.
StepPart PartOf(const StepEngine& engine, double seconds);
// All operations (or one), round after round with other seeds; a sample of points is killed for real as well. With
// `depth`, recoveries inside recoveries are stepped for a quarter of the operations in each round, or for the one.
// `twice`: every run must repeat itself.
StepPart RunStepPart(const std::string& only, uint64_t seed, Isolation isolation, const Budget& budget,
                     Findings* findings, const StepDepth& depth = {.depth = 2}, bool twice = false);

struct OpsPart {
  uint64_t count = 0, episodes = 0;
  double seconds = 0;
  std::string modes;
};
// Where a sequence runs: "memory" or the name of an isolation mode over a file. Empty `over`: all that work here in
// turn.
OpsPart RunOpsPart(uint64_t seed, const std::string& over, const Budget& budget, Findings* findings);

struct KillsPart {
  uint64_t count = 0, odd_moments = 0, rounds = 0;
  uint64_t operations = 0, reads = 0;
  uint64_t disjoint = 0;  // operations on keys that one process has for itself; the others are on shared ones
  uint64_t stopped = 0, continued = 0;
  uint64_t beside_stopped = 0;  // operations of the others while one was stopped that was continued later
  uint64_t forked = 0;          // children made in the middle of the work
  uint64_t recycled_pids = 0;   // successors that had the pid of the dead
  uint64_t directory_full = 0;  // segments refused by a full directory, while another in it went on
  uint64_t linear_states = 0;   // configurations that the linearizability checker looked at
  double seconds = 0;
  std::string modes;
  std::string cannot_recycle, cannot_fill;  // the missing facts
};
struct KillsSetup {
  uint32_t processes = 4;  // at a time; at most 64
  // One that has begun so many operations waits for the next judgement.
  uint64_t records = std::numeric_limits<uint64_t>::max();  // as many as there is room for
  bool lies = false;                   // one of them writes down what it did not see: for a test of the judge
  bool hangs = false;                  // one of them stands still from its beginning: likewise
  uint64_t patience = 20'000'000'000;  // ns until a survivor that does not pause counts as hanging
};
KillsPart RunKillsPart(uint64_t seed, Isolation isolation, const Budget& budget, Findings* findings,
                       const KillsSetup& setup = {});

// Of stray stores to one kind of target; docs/stray-writes.md.
struct StrayFigures {
  uint64_t fired = 0, faulted = 0;
  uint64_t in_private = 0;        // landed in the process's own memory
  uint64_t landed = 0;            // in the segment: control state, sealed and unsealed objects
  uint64_t landed_in_window = 0;  // of those: while the client whose mapping was hit had a window open
  uint64_t during = 0;            // of those fired: while a client of the process was in an operation
};
struct StrayPart {
  std::array<StrayFigures, 6> targets;
  uint64_t control_fired = 0, control_landed = 0;  // through doors that were left open on purpose
  uint64_t operations = 0;                         // of the clients beside whom the stores were fired
  uint64_t rounds = 0, died = 0;                   // processes that fired; those that did not survive what landed
  double seconds = 0;
  std::string modes;
  std::string cannot_run;             // the missing fact, when nothing could be fired
  std::vector<std::string> landings;  // the first: address, structure, and who had a window open

  StrayFigures total() const;
  double per_minute() const { return seconds > 0 ? static_cast<double>(total().fired) / seconds * 60 : 0; }
  static const char* TargetName(size_t target);
};
struct StraySetup {
  bool works = false;  // clients work meanwhile in every mode; else in mode keys alone, and rest in the others
  uint32_t workers = 2, firers = 2;
  bool plant_open_page = false;  // the first worker leaves a page writable during its operations, between windows too
};
StrayPart RunStrayPart(uint64_t seed, Isolation isolation, const Budget& budget, Findings* findings,
                       const StraySetup& setup = {});

struct SimPart {
  uint64_t operations = 0, schedules = 0, crash_states = 0, distinct = 0, kills = 0;
  double seconds = 0, checked_per_second = 0;
  std::string cannot_run;  // the missing fact
};
// Plans that follow from the seed, in the simulation: each crash state that differs is recovered and judged.
// `more`: further arguments of lightning-faults-sim.
SimPart RunSimPart(uint64_t seed, const Budget& budget, Findings* findings, const std::vector<std::string>& more = {});

}  // namespace lightning::faults
