#include "crashtests/segment_probe.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "store/segment/segment_file.h"

namespace lightning::crash {

SegmentProbe::SegmentProbe(const std::string& path) {
  const Result<OpenedSegment> opened = OpenSegmentFile(path);
  if (!opened.ok()) {
    fprintf(stderr, "%s: %s\n", path.c_str(), opened.status().ToString().c_str());
    abort();
  }
  void* view = mmap(nullptr, opened->geometry.size, PROT_READ, MAP_SHARED, opened->fd.get(), 0);
  if (view == MAP_FAILED) abort();
  view_ = static_cast<const std::byte*>(view);
  segment_ = Segment(view_, opened->geometry);
}

SegmentProbe::~SegmentProbe() { munmap(const_cast<std::byte*>(view_), segment_.geometry().size); }

std::optional<SlotIndex> SegmentProbe::SlotOf(pid_t pid) const {
  for (SlotIndex i = 0; i < segment_.geometry().max_clients; ++i) {
    if (State(i).life != SlotLife::kFree && segment_.slot(i).pid.Load() == static_cast<uint64_t>(pid)) return i;
  }
  return std::nullopt;
}

int SegmentProbe::Count(SlotLife life) const {
  int count = 0;
  for (SlotIndex i = 0; i < segment_.geometry().max_clients; ++i) count += State(i).life == life;
  return count;
}

std::vector<std::string> SegmentProbe::Held(SlotIndex index) const {
  const Geometry& g = segment_.geometry();
  const Slot& slot = segment_.slot(index);
  const uint64_t owner = LockValue::Owner(index, State(index).generation);
  std::vector<std::string> kinds;
  for (uint64_t i = 0; i < std::min<uint64_t>(slot.held_count.Load(), kMaxHeldLocks); ++i) {
    const uint64_t offset = slot.held[i].Load();
    if (!segment_.IsLock(offset)) continue;
    const auto& lock = *reinterpret_cast<const LockWord*>(segment_.bytes(offset));
    if (!LockValue::IsHeldBy(lock.Load(), owner)) continue;
    if (&lock == &segment_.central().lock) {
      kinds.push_back("central");
    } else if (&lock == &segment_.central().event_lock) {
      kinds.push_back("events");
    } else {
      kinds.push_back(offset >= g.slots && offset < g.buckets ? "slot" : "bucket");
    }
  }
  return kinds;
}

}  // namespace lightning::crash
