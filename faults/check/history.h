// What concurrent clients did to keys, written down outside the segment: each intent before its operation, each outcome
// after it. From that follows which values a key may have; clients that were killed leave operations without an
// outcome.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "lightning/client.h"

namespace lightning::faults {

// --- Values that say themselves who wrote them.

// Writer in the upper 16 bits, its count below; never zero.
using WriteId = uint64_t;

inline constexpr uint64_t kSmallestValue = 32;
// Header and a pattern that follows from it: every byte is checked. REQUIRES: size >= kSmallestValue.
void FillValue(std::byte* to, uint64_t size, uint32_t key, WriteId write);
// The writer, or 0 and what is wrong.
WriteId ReadValue(Bytes value, uint32_t key, std::string* error);

// --- Histories.

enum class Did : uint8_t {
  kNothing = 0,  // it answered that it had no effect
  kWrite,
  kDelete,
  kSaw,         // a value
  kSawNothing,  // the key was absent
};

struct KeyEvent {
  Did did = Did::kNothing;
  bool completed = false;       // false: its client was killed inside it, at `end`
  uint64_t begin = 0, end = 0;  // nanoseconds
  WriteId write = 0;            // written or seen
  uint64_t version = 0;         // written or seen; 0: not known
  uint64_t expected = 0;        // version that a conditional write replaced; 0: unconditional
  uint32_t writer = 0;          // for messages
};

struct KeyHistory {
  // How the key was when the history began.
  WriteId first = 0;  // 0: absent
  uint64_t first_version = 0;
  std::vector<KeyEvent> events;
};
using History = std::map<uint32_t, KeyHistory>;

// The first contradiction, or "". An interrupted write that somebody saw counts as having happened, for all its keys.
std::string JudgeHistory(const History& history);

}  // namespace lightning::faults
