// What the command line asked for; every measurement gets it.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "lightning/options.h"

namespace lightning::bench {

struct Settings {
  Isolation mode = Isolation::kNone;            // of the headline rows
  bool quick = false;                           // smaller populations and shorter slices
  bool floor_only = false;                      // measure the floors and leave the store alone
  uint32_t rounds = 15;                         // interleaved repetitions; medians are taken over them
  std::chrono::nanoseconds slice{150'000'000};  // one process's share of one round
  std::vector<std::string> only;                // names or prefixes of names; empty means all

  bool Wants(std::string_view name) const {
    return only.empty() ||
           std::any_of(only.begin(), only.end(), [name](const auto& prefix) { return name.starts_with(prefix); });
  }
  // True when some row whose name begins with `stem` is wanted.
  bool MayWant(std::string_view stem) const {
    return Wants(stem) ||
           std::any_of(only.begin(), only.end(), [stem](const auto& prefix) { return prefix.starts_with(stem); });
  }
};

}  // namespace lightning::bench
