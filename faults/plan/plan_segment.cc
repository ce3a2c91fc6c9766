#include "faults/plan/plan_segment.h"

#include <algorithm>

namespace lightning::faults {

Result<Options> SegmentOptions(const PlanSegment& segment) {
  constexpr uint64_t kSmallest = 64 * kPageSize, kLargestHeap = (uint64_t{1} << 38) - kPageSize;
  if (segment.heap == 0 || segment.heap > kLargestHeap)
    return Status(Code::kInvalidArgument, "the heap must have 1 byte to 256 GiB less a page");
  Options options;
  options.max_objects = segment.max_objects;
  options.max_clients = segment.max_clients;
  options.max_pins = segment.max_pins;
  options.event_slots = segment.event_slots;
  options.eviction = segment.eviction;
  options.hash_seed = segment.hash_seed;
  options.isolation = segment.isolation;
  // Where the heap begins does not depend on the size; any size that the tables fit into tells it.
  options.size = kSmallest;
  Result<Geometry> geometry = Geometry::Compute(options);
  while (!geometry.ok() && options.size < uint64_t{1} << 45) {
    options.size *= 2;
    geometry = Geometry::Compute(options);
  }
  if (!geometry.ok()) return geometry.status();
  options.size = std::max(kSmallest, geometry->heap + RoundUp(segment.heap, kPageSize));
  geometry = Geometry::Compute(options);
  if (!geometry.ok()) return geometry.status();
  return options;
}

}  // namespace lightning::faults
