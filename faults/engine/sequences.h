// One sequence of operations on one fresh segment: its geometry, its keys and its operations all follow from the seed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "faults/model/operation.h"

namespace lightning::faults {

struct Sequence {
  uint64_t seed = 0;
  std::string over;  // "memory", or an isolation mode's name: over a file
  uint64_t count = 0;
  std::vector<uint64_t> only;  // numbers of the operations to run; empty: all
};

struct SequenceResult {
  std::string error;       // "" when all is well
  uint64_t failed_at = 0;  // number of the operation
  uint64_t ran = 0;
};

SequenceResult RunSequence(const Sequence& sequence);
// Leaves operations out for as long as it still fails, for about so many seconds.
Sequence Shrink(const Sequence& sequence, const SequenceResult& failure, double seconds);
// The operations, one a line.
std::string ShowSequence(const Sequence& sequence);
// One command that runs it.
std::string CommandOf(const Sequence& sequence);

}  // namespace lightning::faults
