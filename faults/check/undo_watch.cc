#include "faults/check/undo_watch.h"

#include <fmt/format.h>

#include <algorithm>

namespace lightning::faults {
namespace {

bool IsCovered(const Segment& segment, const WordChange& change) {
  for (SlotIndex index = 0; index < segment.geometry().max_clients; ++index) {
    const Slot& slot = segment.slot(index);
    const uint64_t count = std::min<uint64_t>(slot.log_count.Load(), kLogCapacity);
    for (uint64_t i = 0; i < count; ++i) {
      const uint64_t old = slot.log[i].old.Load();
      if (slot.log[i].offset.Load() == change.offset && (old == change.before || old == change.after)) return true;
    }
  }
  return false;
}

std::string Entry(const char* region, uint64_t at, uint64_t size) {
  return fmt::format("{} {} offset {}", region, at / size, at % size);
}

}  // namespace

std::string UncoveredStore(const Segment& segment, std::span<const WordChange> changes) {
  for (const WordChange& change : changes) {
    if (!segment.IsCell(change.offset) || IsCovered(segment, change)) continue;
    return fmt::format("undo before store: {} went from {:#x} to {:#x}, and no undo log covers it",
                       NameWord(segment, change.offset), change.before, change.after);
  }
  return "";
}

std::string NameWord(const Segment& segment, uint64_t offset) {
  const Geometry& g = segment.geometry();
  if (offset < g.central) return fmt::format("superblock offset {}", offset);
  if (offset < g.slots) return fmt::format("central offset {}", offset - g.central);
  if (offset < g.buckets) {
    const uint64_t slot = (offset - g.slots) / g.slot_stride, at = (offset - g.slots) % g.slot_stride;
    const bool log = at >= offsetof(Slot, log) && at < sizeof(Slot);
    return log ? fmt::format("log {} offset {}", slot, at - offsetof(Slot, log))
               : fmt::format("slot {} offset {}", slot, at);
  }
  if (offset < g.object_table) return Entry("bucket", offset - g.buckets, sizeof(Bucket));
  if (offset < g.block_table) return Entry("object", offset - g.object_table, sizeof(Object));
  if (offset < g.events) return Entry("block", offset - g.block_table, sizeof(Block));
  if (offset < g.client_pages) return Entry("event", offset - g.events, sizeof(EventSlot));
  if (offset < g.doorbells) return Entry("page", offset - g.client_pages, g.client_page_stride);
  return offset < g.heap ? "a doorbell" : fmt::format("heap offset {}", offset - g.heap);
}

}  // namespace lightning::faults
