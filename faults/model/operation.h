// Sequences of operations that follow from a seed. An operation says what to try; what it applies to (which handle,
// which writer) is chosen when it runs, so that any part of a sequence is a sequence too and can be run on its own.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "faults/model/random.h"

namespace lightning::faults {

enum class Op : uint8_t {
  kPut,
  kReplace,
  kPutBatch,
  kCreate,
  kSeal,
  kAbort,
  kGet,
  kGetBatch,
  kGetWaiting,
  kRelease,
  kContains,
  kDelete,
  kList,
  kEvict,
  kStats,
  kRecover,
  kSubscribe,
  kUnsubscribe,
  kNextEvent,
  kAttach,
  kClose,
  kDie,
  kInvalid,
  kCheck,
};
inline constexpr uint32_t kOps = static_cast<uint32_t>(Op::kCheck) + 1;
const char* OpName(Op op);

struct Operation {
  Op op = Op::kPut;
  uint32_t client = 0;
  std::vector<uint32_t> keys;  // indices into the sequence's keys
  uint64_t size = 0;
  uint32_t metadata_size = 0;
  uint64_t tag = 0;     // of the value; for a batch, of the first one
  uint64_t choice = 0;  // picks one of several handles, writers, versions
};
std::string Show(const Operation& operation, const std::vector<std::string>& keys);

// How large things are in one sequence.
struct SequenceShape {
  uint32_t clients = 1;
  uint64_t largest_value = 4096;
  bool events = false;
};

// Short ones, long ones that do not fit into an object's record, ones with every byte, ones with common prefixes.
std::vector<std::string> MakeKeys(Random& random, uint32_t count);
std::vector<Operation> MakeSequence(Random& random, const SequenceShape& shape, uint32_t keys, uint64_t count);

}  // namespace lightning::faults
