// Stray stores: one instruction each, at an address that is no business of the thread's. What faults is stepped over.
#pragma once

#include <cstddef>
#include <cstdint>

namespace lightning::faults {

enum class ShotKind : uint32_t { kWord, kByte, kExchange };

// For this process: faults of Fire are noted, any other fault ends it with status kOtherFault.
inline constexpr int kOtherFault = 8;
void CatchStrayFaults();

// Stores at `at`; true when that faulted, and then nothing was stored. Any thread. After CatchStrayFaults.
bool Fire(ShotKind kind, std::byte* at, uint64_t value) noexcept;

}  // namespace lightning::faults
