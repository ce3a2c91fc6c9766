// The process that fires: clients of one segment at work in some threads, and threads beside them whose stores go
// astray.
#pragma once

#include "faults/engine/stray_board.h"
#include "lightning/client.h"

namespace lightning::faults {

struct StrayRangeSetup {
  uint64_t seed = 1;
  uint32_t workers = 2;          // each with a client of its own
  uint32_t firers = 2;           // half of them are older than the clients, and so than their protection key
  bool plant_open_page = false;  // see StraySetup
};

// Attaches, answers 1 on the board, and does what the board asks until the process ends.
[[noreturn]] void RunStrayRange(const Store& store, StrayBoard& board, const StrayRangeSetup& setup);

}  // namespace lightning::faults
