#include "store/segment/segment.h"

namespace lightning {

bool Segment::IsCell(uint64_t offset) const {
  const Geometry& g = geometry_;
  if (offset % 8 != 0 || offset < g.central || offset >= g.events) return false;
  if (offset < g.slots) {
    const uint64_t at = offset - g.central;
    return at < sizeof(Central) && at != offsetof(Central, slots_used) && at != offsetof(Central, lock) &&
           at != offsetof(Central, event_lock);
  }
  if (offset < g.buckets) {
    const uint64_t at = (offset - g.slots) % g.slot_stride;
    return at >= offsetof(Slot, credits) && at < offsetof(Slot, held_count);
  }
  if (offset < g.object_table) return (offset - g.buckets) % sizeof(Bucket) != offsetof(Bucket, lock);
  return true;
}

bool Segment::IsLock(uint64_t offset) const {
  const Geometry& g = geometry_;
  if (offset == g.central + offsetof(Central, lock) || offset == g.central + offsetof(Central, event_lock)) return true;
  if (offset >= g.slots && offset < g.slots + g.slot_stride * g.max_clients)
    return (offset - g.slots) % g.slot_stride == offsetof(Slot, lock);
  return offset >= g.buckets && offset < g.buckets + sizeof(Bucket) * uint64_t{g.home_buckets} &&
         (offset - g.buckets) % sizeof(Bucket) == offsetof(Bucket, lock);
}

}  // namespace lightning
