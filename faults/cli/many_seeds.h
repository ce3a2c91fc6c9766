// A campaign over many seeds, on this machine or on those of a Ray cluster: python/lightning_faults/ray_campaign.py.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lightning::faults {

struct ManySeeds {
  uint64_t seeds = 0;      // how many, from the first; zero: one run, here
  uint64_t schedules = 0;  // of each, in the simulation; zero: as the time allows
  uint32_t tasks = 2;
  std::string ray;  // the cluster's address; empty: no Ray
  bool wanted() const { return seeds != 0 || !ray.empty(); }
};

// Becomes Python with that module: $LIGHTNING_PYTHON, the one that `ci/setup --with-ray` has made, or python3. Comes
// back only when that cannot be: the exit status.
int BecomeManySeeds(const ManySeeds& many, const std::vector<std::string>& more);

}  // namespace lightning::faults
