// A history of one key, made ready for the search: what each operation needs and writes, calls and returns in one
// order, and interrupted operations that cannot matter left out. Internal to linearizability.cc.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "faults/check/linearizability.h"

namespace lightning::faults {

enum class Needs : uint8_t { kAnything, kEqual, kOther };

// Values are small numbers here, given out in the order in which they are met.
struct RegisterStep {
  Needs needs = Needs::kAnything;
  bool writes = false;
  bool optional = false;  // interrupted
  uint32_t needed = 0, written = 0;
  uint32_t source = 0;  // index of the operation
  uint64_t call = 0, ret = kNever;

  bool Fits(uint32_t value) const { return needs == Needs::kAnything || (needs == Needs::kEqual) == (value == needed); }
};

// One that must happen, or may until its return; it stands in the list of calls and returns.
struct ListedStep : RegisterStep {
  uint32_t call_entry = 0, return_entry = 0;
  uint32_t slot = 0;  // shared only with steps that do not overlap
};

struct ListEntry {
  uint64_t time = 0;
  uint32_t step = 0;
  bool is_return = false;
  uint32_t prev = 0, next = 0;
};

// Open-ended steps that need and write the same: only how many of them happened matters.
struct OpenClass {
  Needs needs = Needs::kAnything;
  uint32_t needed = 0, written = 0;
  uint32_t begin = 0, end = 0;  // in RegisterProblem::open, by call

  bool Fits(uint32_t value) const { return needs == Needs::kAnything || value == needed; }
};

struct ValueFacts {
  uint64_t value = 0;              // as the caller says it
  uint32_t readers = 0;            // steps that must happen and need exactly this value
  uint32_t writers = 0;            // steps that write it
  uint32_t maybe_needed = 0;       // optional steps that need it
  uint64_t first_return = kNever;  // of its readers
};

class RegisterProblem {
 public:
  void Build(std::span<const RegisterOperation> operations, uint64_t initial);

  std::vector<ListedStep> steps;
  std::vector<ListEntry> entries;  // entry 0 is the list's head; the others by time, calls before returns
  std::vector<RegisterStep> open;
  std::vector<OpenClass> classes;
  std::vector<ValueFacts> values;
  uint32_t initial = 0;
  uint32_t slots = 0;
  // Steps that need any value but one: those that must happen, and whether there are optional ones.
  uint32_t other_readers = 0;
  bool maybe_other = false;

 private:
  struct ValueSlot {
    uint64_t generation = 0, value = 0;
    uint32_t id = 0;
  };
  uint32_t ValueId(uint64_t value);
  RegisterStep StepOf(const RegisterOperation& operation);
  void Count(const RegisterStep& step);
  bool Prune();
  void MakeClasses();
  void MakeList();
  void GiveSlots();

  std::vector<ValueSlot> table_;
  uint64_t generation_ = 0;
  std::vector<uint32_t> free_slots_;
};

}  // namespace lightning::faults
