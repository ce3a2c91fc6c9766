// What the step engine remembers of every instruction that it stepped: plain structs in vectors, about two nanoseconds
// beside the microseconds of a step. Source lines come later (line_table.h, coverage.h). Not for several threads.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace lightning::faults {

// What came of a death right after an instruction.
enum class PointOutcome : uint8_t {
  kUnchanged,  // the control region is what it was: the same crash state as before
  kDuplicate,  // changed into a state that this operation had been in, and that was judged then
  kBefore,     // a new state, healed to the content before the operation
  kAfter,      // to the content after it
  kBetween,    // to another that the model allows
  kFailed,     // a finding
};

// One instruction.
struct StepPoint {
  static constexpr uint32_t kElsewhere = UINT32_MAX;
  uint32_t address = kElsewhere;  // from the beginning of the program; kElsewhere: in a library
  PointOutcome outcome = PointOutcome::kUnchanged;
};
using StepTrace = std::vector<StepPoint>;

// How often.
struct PointCounts {
  uint32_t stepped = 0;  // the instruction ran
  uint32_t judged = 0;   // a death right after it was judged, or leaves a state that was
  uint32_t changed = 0;  // and the instruction itself had changed the state
};

// All runs of one operation.
struct OperationRecord {
  std::string name;     // "put-replace", or a plan's file
  std::string title;    // of the run in `trace`: "put-replace, seed 7"
  std::string command;  // that steps it again
  uint64_t runs = 0, instructions = 0, changes = 0, distinct = 0;
  double seconds = 0;
  StepTrace trace;  // of the first run, or of the one that failed
};

class StepRecord {
 public:
  // The trace's instructions ran. Each was judged if `judged`, else only the last one if `last_judged`.
  void Fold(const StepTrace& trace, bool judged, bool last_judged = false);
  // One whole run of an operation; Fold is not called for it. `title` up to the comma is the operation's name.
  void AddRun(const std::string& title, const std::string& command, StepTrace trace, double seconds);

  // By address.
  const std::vector<PointCounts>& points() const { return points_; }
  const std::vector<OperationRecord>& operations() const { return operations_; }

 private:
  std::vector<PointCounts> points_;
  std::vector<OperationRecord> operations_;
};

// Where the program of a process begins in its memory, and how long what is mapped of it is. Zeros when unknown.
struct ProgramRange {
  uint64_t begin = 0, end = 0;
  uint32_t OffsetOf(uint64_t address) const {
    return address >= begin && address < end ? static_cast<uint32_t>(address - begin) : StepPoint::kElsewhere;
  }
};
ProgramRange FindProgram(pid_t process);

}  // namespace lightning::faults
