// What every layer above needs to act for one attached client. Belongs to the Client; no process globals.
#pragma once

#include <vector>

#include "store/gate/gate.h"
#include "store/kernel/kernel.h"
#include "store/segment/segment.h"

namespace lightning {

struct Environment {
  Segment segment;
  Gate* gate = nullptr;
  Kernel* kernel = nullptr;
  SlotIndex self = 0;
  uint32_t generation = 0;
  Nanoseconds lock_timeout{0};
  // Dead clients that were rolled back while this one held locks; cleaned up once it holds none.
  std::vector<SlotIndex> to_clean;
};

}  // namespace lightning
