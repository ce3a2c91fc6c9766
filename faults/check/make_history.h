// Histories for trying the checker: of a store that exists only here, correct, or with one planted violation.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "faults/check/history_file.h"

namespace lightning::faults {

struct HistorySettings {
  uint64_t operations = 1000, clients = 8, keys = 10, seed = 1;
  uint64_t values = 0;  // only so many different ones; 0: every write has a value of its own
  uint64_t interrupted_percent = 2;
  std::string plant;  // one of PlantNames(), or none; needs values of their own
};

std::span<const std::string_view> PlantNames();

// REQUIRES: clients > 0, keys > 0. False, and why, if the history has no place for what is to be planted.
bool MakeHistory(const HistorySettings& settings, HistoryFile* file, std::string* error);

}  // namespace lightning::faults
