// What a failure of the simulation leaves for people: the segment before and after recovery, and every access of the
// run that led to it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "faults/plan/plan.h"
#include "store/segment/segment.h"

namespace lightning::faults {

// One access to a shared word.
struct SimAccess {
  uint64_t point = 0;  // of the schedule
  uint64_t offset = 0;
  uint64_t before = 0, value = 0;  // equal when it was a load
  uint32_t client = 0;             // of the plan; behind those: a recoverer
  bool store = false;
};

struct SimEvidence {
  std::vector<SimAccess> accesses;       // of the run that failed
  std::vector<std::byte> before, after;  // at everybody's death; recovered
  std::string trace;

  // At the failure. `segment`: what everybody's death would leave.
  void Take(const Plan& plan, const Segment& segment);
};

}  // namespace lightning::faults
