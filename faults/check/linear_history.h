// The histories of history.h before the linearizability checker.
#pragma once

#include <string>
#include <vector>

#include "faults/check/history.h"
#include "faults/check/linearizability.h"

namespace lightning::faults {

// The operations of one key. A change whose client died inside it may have happened at any moment from its call to the
// death, or not at all: what the dead had not committed, recovery undoes. A conditional write needs the value that the
// version it names had; where nobody wrote that version down it counts as unconditional.
std::vector<RegisterOperation> ToRegister(uint32_t key, const KeyHistory& history);

struct LinearJudge {
  std::string error;  // the first key that is illegal or undecided, or ""
  uint64_t operations = 0, states = 0;
};
// Each key's history is linearizable, or what is wrong. The budget is that of each key.
LinearJudge JudgeLinearizable(const History& history, const SearchBudget& budget);

}  // namespace lightning::faults
