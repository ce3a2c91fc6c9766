// Of a history that is not linearizable, the little that shows it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "faults/check/linearizability.h"

namespace lightning::faults {

struct SmallestPart {
  std::vector<uint32_t> operations;  // indices, by call
  Explanation explanation;           // with the same indices
};

// Of the operations of one key, a few that are illegal whatever the others did: it stays so when every other write may
// have happened within its time, or not at all. Hence nothing in the part is excused by what was left out; leaving a
// write out as if it had not been there would find parts that are illegal only because it is missing. None of the
// operations that make it illegal can be left out. Beside them stand those that wrote what they saw, so that the part
// is a history of its own. Empty if the operations are not illegal, or could not be judged in the budget; when only the
// time for making it smaller runs out, the part is larger than it need be.
SmallestPart FindSmallestPart(std::span<const RegisterOperation> operations, const SearchBudget& budget,
                              uint64_t initial = kAbsent);

}  // namespace lightning::faults
