// The world outside as the harness wants it: who is alive, and a clock that only moves when somebody looks or waits.
#pragma once

#include <memory>
#include <vector>

#include "store/kernel/kernel.h"

namespace lightning::faults {

// Shared by the kernels of all clients of one simulated segment.
struct World {
  std::vector<bool> dead = std::vector<bool>(kAttacher + 1, false);  // by slot
  Nanoseconds now{1};
};

// Announcing a slot makes its owner a living one.
std::unique_ptr<Kernel> MakeWorldKernel(std::shared_ptr<World> world);

}  // namespace lightning::faults
