// A seed becomes a plan.
#pragma once

#include <cstdint>

#include "faults/plan/plan.h"

namespace lightning::faults {

// What the plans of one campaign have in common.
struct PlanShape {
  Engine engine = Engine::kSim;
  uint32_t clients = 3;     // 1 to 16
  uint32_t operations = 4;  // of each client; one fewer or one more now and then
  uint32_t keys = 3;        // 1 to 26; few, so that clients meet
  uint32_t kills = 1;
  uint32_t stops = 0;
  uint32_t killed_recoverers = 0;  // a last one, who lives, comes after them
  bool eviction = false;           // a heap so small that puts evict
  bool events = false;             // somebody subscribes
  // Each plan has its own taste for operations, some of which it leaves out: what takes many of one kind is then met
  // (swarm testing: Groce, Zhang, Eide, Chen, Regehr, ISSTA 2012).
  bool swarm = false;
};

// The same plan for the same seed and shape, on every machine. Each program makes sense by itself: seal and abort come
// after an own create of that key, unpin after a pin, nothing between detach and attach; what comes of them when
// clients meet is for the engine to judge. Tags are unique, and no two items of one key look alike, so that every value
// that is read names the one operation that wrote it. REQUIRES: a shape within its limits.
Plan ExpandPlan(uint64_t seed, const PlanShape& shape);

}  // namespace lightning::faults
