// The other checker: linearizability by its definition and nothing else, for histories of up to about ten operations.
// It judges the judge (linearizability.h), in tests and under the fuzzer.
#pragma once

#include <optional>
#include <span>

#include "faults/check/linearizability.h"

namespace lightning::faults {

// What is there after the operation, or nothing if it cannot happen so.
std::optional<uint64_t> ApplyToRegister(const RegisterOperation& operation, uint64_t value);

// kOk or kIllegal, of the operations of one key. Its time grows with their factorial.
Verdict CheckByEveryOrder(std::span<const RegisterOperation> operations, uint64_t initial = kAbsent);

}  // namespace lightning::faults
