// How far, and how often, whoever steps a process looks at the memory that it shares.
#pragma once

#include <cstdint>

namespace lightning::faults {

// Bytes that one instruction writes at most, block stores and system calls aside.
inline constexpr uint64_t kWidestStore = 64;
// After so many instructions a look at everything, which proves that no store was overlooked.
inline constexpr uint64_t kFullLookEvery = 4096;

}  // namespace lightning::faults
