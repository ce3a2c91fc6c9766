// Kills a client of somebody's store after each instruction that changed the store, and judges what is left.
//
// A round is a small seeded program of operations. First a client runs it undisturbed, against the model. Then one is
// stepped through it under ptrace, which gives the instructions after which the shared files were as they had not been
// before in that operation: the distinct crash states. Then, for each of these, everything begins anew, another client
// is stepped exactly there and really killed, so that what the kernel does at a death (robust mutexes, file locks,
// pids) is done by the kernel. Two kinds of client heal: a survivor, attached all the while, and a newcomer, which
// attaches to a store that nobody has left in order.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "faults/engine/target_judge.h"
#include "faults/engine/target_process.h"
#include "faults/report/progress.h"

namespace lightning::faults {

enum class Healer : uint8_t { kSurvivor, kNewcomer };
inline constexpr std::array kHealers = {Healer::kSurvivor, Healer::kNewcomer};
const char* HealerName(Healer healer);

struct TargetProgram {
  Pairs initial;
  std::vector<TargetOperation> operations;  // the first is kAttach
};
// Everything follows from the seed. `count`: puts and removes.
TargetProgram MakeTargetProgram(uint64_t seed, size_t count);

// A crash state: after which instruction (from 1) of which operation (from 0).
struct TargetPoint {
  size_t operation = 0;
  uint64_t instruction = 0;
  // Where that instruction stands, and which execution of it in the operation this is. 0: not known.
  uint64_t address = 0, times = 0;
};

struct TargetFigures {
  uint64_t instructions = 0;  // stepped to find the states
  uint64_t changes = 0;       // instructions after which the shared bytes were others
  uint64_t distinct = 0;      // states among these
  uint64_t judged = 0;        // of the distinct ones: a client was killed there
  uint64_t bad = 0;           // of the judged ones
};

struct TargetFinding {
  Healer healer;
  uint64_t seed;
  TargetPoint point;
  TargetVerdict verdict;
  std::string operation;                 // as its command
  std::string line;                      // where the client was killed
  uint64_t states = 1;                   // with the same healer and kind; this is the first of them
  bool undisturbed = false;              // nobody was killed
  std::vector<TargetPoint> points = {};  // all of these states
};

class TargetEngine {
 public:
  explicit TargetEngine(TargetFile file);
  ~TargetEngine();
  TargetEngine(const TargetEngine&) = delete;
  TargetEngine& operator=(const TargetEngine&) = delete;

  // Loads the target in a process of its own and asks for its name. An error text, or "". Before all others.
  std::string Prepare();
  // Run ends with the first finding.
  void StopAtFirst() { first_only_ = true; }
  // Run judges at most so many states, chosen by the seed.
  void JudgeAtMost(uint64_t states) { most_ = states; }
  // The whole round, until the deadline.
  void Run(uint64_t seed, size_t operations, Clock::time_point deadline, bool quiet);
  // One crash state of it alone, however often its kind was found.
  void RunAt(uint64_t seed, size_t operations, Healer healer, TargetPoint point);

  const std::string& name() const { return name_; }
  const TargetFigures& figures(Healer healer) const { return figures_[static_cast<size_t>(healer)]; }
  const std::vector<TargetFinding>& findings() const { return findings_; }
  // Why the harness itself could not go on, or "".
  const std::string& error() const { return error_; }
  // Distinct states that were not judged, and operations that were not stepped to their end, when a round was over.
  uint64_t left() const { return left_; }
  uint64_t unstepped() const { return unstepped_; }

 private:
  struct Scene;
  std::unique_ptr<TargetProcess> NewClient();
  bool RunUndisturbed();
  std::vector<TargetPoint> Scan(Healer healer, Clock::time_point deadline);
  bool ScanOperation(Scene* scene, size_t number, Clock::time_point deadline, TargetFigures* figures,
                     std::vector<TargetPoint>* points);
  void KillAt(Healer healer, const TargetPoint& point);
  void Add(Healer healer, const TargetPoint& point, TargetVerdict verdict);
  std::string LineOf(const TargetFinding& finding);
  bool Fail(const std::string& error);

  const TargetFile file_;
  std::string work_, store_, log_, name_, error_;
  int work_handle_ = -1;
  std::vector<std::string> shared_;
  uint64_t seed_ = 0, left_ = 0, unstepped_ = 0;
  uint64_t most_ = ~uint64_t{0};
  bool first_only_ = false;
  TargetProgram program_;
  std::array<TargetFigures, 2> figures_;
  std::vector<TargetFinding> findings_;
};

}  // namespace lightning::faults
