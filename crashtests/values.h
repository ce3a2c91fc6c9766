// Values that tell what they are: every word follows from one seed, so that a value made of two is seen.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <vector>

namespace lightning::crash {

// Word `i` of the value of this seed; word 0 is the seed itself.
constexpr uint64_t ValueWord(uint64_t seed, uint64_t i) {
  return i == 0 ? seed : (seed + i) * 0x9E37'79B9'7F4A'7C15 ^ (seed << 17);
}

inline void FillValue(std::span<std::byte> value, uint64_t seed) {
  for (size_t at = 0; at < value.size(); at += 8) {
    const uint64_t word = ValueWord(seed, at / 8);
    memcpy(value.data() + at, &word, value.size() - at < 8 ? value.size() - at : 8);
  }
}

inline std::vector<std::byte> MakeValue(size_t size, uint64_t seed) {
  std::vector<std::byte> value(size);
  FillValue(value, seed);
  return value;
}

// The seed of a whole value, or nothing when its bytes do not belong together. REQUIRES: 8 bytes or more.
inline std::optional<uint64_t> SeedOf(std::span<const std::byte> value) {
  if (value.size() < 8) return std::nullopt;
  uint64_t seed;
  memcpy(&seed, value.data(), 8);
  for (size_t at = 0; at < value.size(); at += 8) {
    const uint64_t word = ValueWord(seed, at / 8);
    if (memcmp(value.data() + at, &word, value.size() - at < 8 ? value.size() - at : 8) != 0) return std::nullopt;
  }
  return seed;
}

}  // namespace lightning::crash
