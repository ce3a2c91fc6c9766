// YCSB's key choosers (Cooper et al., SoCC 2010), deterministic for a seed.
#pragma once

#include <cstdint>

namespace lightning::bench {

// SplitMix64 (Steele et al., OOPSLA 2014).
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t Next() {
    uint64_t z = state_ += 0x9E3779B97F4A7C15;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
  }
  double NextUnit() { return static_cast<double>(Next() >> 11) * 0x1p-53; }  // in [0, 1)
  uint32_t Below(uint32_t bound) { return static_cast<uint32_t>((Next() >> 32) * bound >> 32); }

 private:
  uint64_t state_;
};

inline constexpr double kZipfTheta = 0.99;  // YCSB's constant

// Ranks in [0, items), rank 0 the most frequent, after Gray et al., "Quickly generating billion-record synthetic
// databases", SIGMOD 1994.
class Zipfian {
 public:
  // `zeta` is the sum of 1 / i^theta over the items; computed when it is 0.
  explicit Zipfian(uint64_t items, double zeta = 0);
  uint64_t Next(Random* random) const;

 private:
  double items_, zeta_, eta_;
};

// Zipfian over ten billion items, hashed onto [0, items): the hot keys stand anywhere. This is what YCSB calls
// "zipfian" in its workload files.
class ScrambledZipfian {
 public:
  explicit ScrambledZipfian(uint32_t items);
  uint32_t Next(Random* random) const;

 private:
  Zipfian zipfian_;
  uint32_t items_;
};

uint64_t Fnv64(uint64_t value);  // YCSB's hash of a key number

}  // namespace lightning::bench
