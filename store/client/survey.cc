// List and Stats: what is in the segment, read without locks.
#include <algorithm>

#include "store/client/core.h"

namespace lightning {

Result<std::vector<ObjectInfo>> ClientCore::List(std::string_view prefix) {
  const Status usable = UsableWithoutTurn();
  if (!usable.ok()) return usable;
  const Segment& segment = env_.segment;
  std::vector<ObjectInfo> all, chain;
  for (uint32_t i = 0; i < segment.geometry().home_buckets; ++i) {
    const Bucket& home = segment.home_at(i);
    LockWait wait;
    for (;;) {
      const uint64_t word = home.lock.Load();
      if (LockValue::IsHeld(word)) {
        const Status status = WaitOut(home.lock, wait);
        if (!status.ok()) return status;
        continue;
      }
      chain.clear();
      index::ForEach(segment, home, [&](const Place& place) {
        const ObjectId id = place.object();
        if (EntryUnsealed(place.entry) || !segment.Valid(id)) return true;
        const Object& object = segment.object(id);
        const ObjectFields fields = ObjectFields::Read(object);
        std::string key = KeyOf(segment, object);
        if (key.starts_with(prefix) && !key.empty())
          chain.push_back({std::move(key), fields.version, fields.size, fields.metadata_size});
        return true;
      });
      // All of the chain at one moment, or again.
      if (home.lock.Load() == word) break;
    }
    std::move(chain.begin(), chain.end(), std::back_inserter(all));
  }
  std::sort(all.begin(), all.end(), [](const ObjectInfo& a, const ObjectInfo& b) { return a.key < b.key; });
  return all;
}

Result<Stats> ClientCore::GetStats() {
  const Status usable = Usable();
  if (!usable.ok()) return usable;
  {
    // What this client deleted and nobody pins counts as free.
    Turn turn(*this);
    if (const Status entered = turn.Usable(); !entered.ok()) return entered;
    if (env_.segment.slot(env_.self).retired_count.Load() != 0) {
      const Result<uint64_t> reclaimed = ReclaimSlot(env_.self);
      CleanPending();
      if (!reclaimed.ok()) return reclaimed.status();
    }
  }
  const Segment& segment = env_.segment;
  const Geometry& g = segment.geometry();
  const Central& central = segment.central();
  Stats stats;
  stats.isolation = isolation();
  stats.segment_size = g.size;
  stats.bytes_total = uint64_t{g.heap_granules} * kGranule;
  stats.bytes_retired = central.orphan_bytes.Load();
  stats.largest_free = BlockHeap::LargestFree(segment) * kGranule;
  stats.objects_max = g.max_objects;
  stats.clients_max = g.max_clients;
  stats.recoveries = central.recoveries.Load();
  stats.evictions = central.evictions.Load();
  stats.eviction = static_cast<Eviction>(segment.super().eviction);
  uint64_t free_granules = central.free_granules.Load();
  uint64_t credits = central.credits.Load();
  for (SlotIndex i = 0; i < segment.slots_used(); ++i) {
    const Slot& slot = segment.slot(i);
    if (SlotState::Decode(slot.state.Load()).life == SlotLife::kFree) continue;
    ++stats.clients;
    stats.bytes_retired += slot.retired_bytes.Load();
    credits += slot.credits.Load();
    const uint64_t blocks = std::min<uint64_t>(slot.block_count.Load(), kBlockCache);
    for (uint64_t block = 0; block < blocks; ++block) free_granules += High(slot.blocks[block].Load());
    const ClientPage& page = segment.client_page(i);
    stats.gets += page.gets.load(std::memory_order_relaxed);
    stats.puts += page.puts.load(std::memory_order_relaxed);
    stats.deletes += page.deletes.load(std::memory_order_relaxed);
  }
  stats.bytes_free = std::min(stats.bytes_total, free_granules * kGranule);
  // Another client may be between two of these words; then the counts are of slightly different moments.
  stats.bytes_used = stats.bytes_total - std::min(stats.bytes_total, stats.bytes_free + stats.bytes_retired);
  stats.objects = g.max_objects - std::min<uint64_t>(g.max_objects, credits);
  return stats;
}

}  // namespace lightning
