// Random numbers that are the same on every machine: splitmix64 (Steele, Lea, Flood 2014).
#pragma once

#include <cstdint>

namespace lightning::faults {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t Next() {
    uint64_t z = (state_ += 0x9E37'79B9'7F4A'7C15);
    z = (z ^ (z >> 30)) * 0xBF58'476D'1CE4'E5B9;
    z = (z ^ (z >> 27)) * 0x94D0'49BB'1331'11EB;
    return z ^ (z >> 31);
  }
  // 0 to n - 1. REQUIRES: n > 0.
  uint64_t Below(uint64_t n) { return Next() % n; }
  // first to last, both included.
  uint64_t Between(uint64_t first, uint64_t last) { return first + Below(last - first + 1); }
  bool Percent(uint64_t percent) { return Below(100) < percent; }
  double Unit() { return static_cast<double>(Next() >> 11) * 0x1p-53; }

 private:
  uint64_t state_;
};

// A seed that depends on both.
inline uint64_t MixSeeds(uint64_t a, uint64_t b) { return Random(a ^ (b + 1) * 0xD6E8'FEB8'6659'FD93).Next(); }

}  // namespace lightning::faults
