#include "bench/zipf.h"

#include <cmath>

namespace lightning::bench {
namespace {

constexpr uint64_t kScrambledItems = 10'000'000'000;
constexpr double kScrambledZeta = 26.46902820178302;  // of ten billion items and theta 0.99, as in YCSB
constexpr double kAlpha = 1 / (1 - kZipfTheta);

double Zeta(uint64_t items) {
  double sum = 0;
  for (uint64_t i = 1; i <= items; ++i) sum += 1 / std::pow(static_cast<double>(i), kZipfTheta);
  return sum;
}

}  // namespace

Zipfian::Zipfian(uint64_t items, double zeta)
    : items_(static_cast<double>(items)), zeta_(zeta > 0 ? zeta : Zeta(items)), eta_(0) {
  eta_ = (1 - std::pow(2 / items_, 1 - kZipfTheta)) / (1 - Zeta(2) / zeta_);
}

uint64_t Zipfian::Next(Random* random) const {
  const double unit = random->NextUnit();
  const double scaled = unit * zeta_;
  if (scaled < 1) return 0;
  if (scaled < 1 + std::pow(0.5, kZipfTheta)) return 1;
  const double rank = items_ * std::pow(eta_ * unit - eta_ + 1, kAlpha);
  return static_cast<uint64_t>(std::fmin(rank, items_ - 1));
}

ScrambledZipfian::ScrambledZipfian(uint32_t items) : zipfian_(kScrambledItems, kScrambledZeta), items_(items) {}

uint32_t ScrambledZipfian::Next(Random* random) const {
  return static_cast<uint32_t>(Fnv64(zipfian_.Next(random)) % items_);
}

uint64_t Fnv64(uint64_t value) {
  uint64_t hash = 0xCBF29CE484222325;
  for (int i = 0; i < 8; ++i) {
    hash = (hash ^ (value & 0xFF)) * 1099511628211;
    value >>= 8;
  }
  return hash & 0x7FFF'FFFF'FFFF'FFFF;  // YCSB takes the absolute value of a signed number
}

}  // namespace lightning::bench
