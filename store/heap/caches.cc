#include "store/heap/caches.h"

#include <algorithm>

namespace lightning {

// The most recently kept block of exactly this size.
uint32_t Caches::FindBlock(uint32_t granules) const {
  const auto count = static_cast<uint32_t>(std::min<uint64_t>(slot_.block_count.Load(), kBlockCache));
  for (uint32_t i = count; i-- > 0;) {
    if (High(slot_.blocks[i].Load()) == granules) return i;
  }
  return kNone;
}

ObjectId Caches::TakeId() {
  const uint64_t count = slot_.id_count.Load();
  LIGHTNING_ASSERT(count != 0 && count <= kIdCache);
  t_.Set(slot_.id_count, count - 1);
  return ObjectId{Low(slot_.ids[count - 1].Load())};
}

Caches::Extent Caches::TakeBlock(uint32_t granules) {
  const uint32_t at = FindBlock(granules);
  LIGHTNING_ASSERT(at != kNone);
  const uint64_t last = slot_.block_count.Load() - 1;
  const Extent extent{BlockId{Low(slot_.blocks[at].Load())}, Low(slot_.places[at].Load())};
  if (at != last) {
    t_.Set(slot_.blocks[at], slot_.blocks[last].Load());
    t_.Set(slot_.places[at], slot_.places[last].Load());
  }
  t_.Set(slot_.block_count, last);
  return extent;
}

void Caches::PrefetchNext(uint32_t granules) const {
  const uint64_t ids = slot_.id_count.Load(), blocks = slot_.block_count.Load();
  if (ids != 0 && ids <= kIdCache) {
    const ObjectId id{Low(slot_.ids[ids - 1].Load())};
    if (segment_.Valid(id)) {
      const auto* lines = reinterpret_cast<const std::byte*>(&segment_.object(id));
      __builtin_prefetch(lines, 1);
      __builtin_prefetch(lines + 64, 1);
    }
  }
  if (blocks == 0 || blocks > kBlockCache || High(slot_.blocks[blocks - 1].Load()) != granules) return;
  const std::byte* at =
      segment_.bytes(segment_.geometry().heap + uint64_t{Low(slot_.places[blocks - 1].Load())} * kGranule);
  constexpr uint32_t kLines = 16;
  for (uint32_t line = 0; line < std::min(granules, kLines); ++line) __builtin_prefetch(at + line * kGranule, 1);
}

bool Caches::KeepId(ObjectId id) {
  const uint64_t count = slot_.id_count.Load();
  if (count >= kIdCache) return false;
  t_.Set({{slot_.ids[count], id.value}, {slot_.id_count, count + 1}});
  return true;
}

bool Caches::Keep(Extent extent, uint32_t granules, uint32_t limit) {
  const uint64_t count = slot_.block_count.Load();
  if (count >= limit) return false;
  t_.Set({{slot_.blocks[count], Pack(granules, extent.id.value)},
          {slot_.places[count], extent.place},
          {slot_.block_count, count + 1}});
  return true;
}

void Caches::FetchIds() {
  const Central& central = segment_.central();
  for (uint32_t i = 0; i < kRefill; ++i) {
    ObjectId id{Low(central.object_free_list.Load())};
    if (id) {
      t_.Set(central.object_free_list, Low(segment_.object(id).links.Load()));
    } else {
      const uint64_t unused = central.object_unused.Load();
      if (unused >= segment_.geometry().objects) return;
      t_.Set(central.object_unused, unused + 1);
      id = ObjectId{static_cast<uint32_t>(unused + 1)};
    }
    t_.Add(central.object_free_count, ~uint64_t{0});
    if (!KeepId(id)) {
      GiveId(id);
      return;
    }
  }
}

void Caches::FetchBlocks(uint32_t granules) {
  BlockHeap heap(t_);
  // One block of a large size, several of a small one.
  const uint32_t want = granules > kPageSize / kGranule ? 1 : kRefill;
  for (uint32_t i = 0; i < want; ++i) {
    const BlockId id = heap.Allocate(granules);
    if (!id) return;
    if (!Keep({id, High(segment_.block(id).extent.Load())}, granules, kBlockCache)) {
      heap.Free(id);
      return;
    }
  }
}

void Caches::FetchCredits(uint64_t wanted) {
  const Central& central = segment_.central();
  // When they become few, the next client finds some too.
  const uint64_t left = central.credits.Load();
  const uint64_t take = std::min(left, std::max(wanted, std::min<uint64_t>(kCredits, (left + 1) / 2)));
  if (take == 0) return;
  t_.Add(central.credits, ~take + 1);
  t_.Add(slot_.credits, take);
}

void Caches::GiveId(ObjectId id) {
  const Central& central = segment_.central();
  t_.Set(segment_.object(id).links, Low(central.object_free_list.Load()));
  t_.Set(central.object_free_list, id.value);
  t_.Add(central.object_free_count, 1);
}

bool Caches::GiveBlocks(uint32_t limit) {
  const uint64_t count = slot_.block_count.Load();
  LIGHTNING_ASSERT(count <= kBlockCache);
  const uint64_t give = std::min<uint64_t>(limit, count);
  if (give == 0) return false;
  BlockHeap heap(t_);
  // The oldest stand first; what was kept last stays, since it is warm.
  for (uint64_t i = 0; i < give; ++i) heap.Free(BlockId{Low(slot_.blocks[i].Load())});
  // Into their place goes what was kept last, as far as need be: fewer moves than a shift of all.
  const uint64_t left = count - give;
  for (uint64_t i = 0; i < std::min(give, left); ++i) {
    const uint64_t from = left < give ? give + i : count - give + i;
    t_.Set({{slot_.blocks[i], slot_.blocks[from].Load()}, {slot_.places[i], slot_.places[from].Load()}});
  }
  t_.Set(slot_.block_count, left);
  return true;
}

bool Caches::GiveIds(uint32_t limit) {
  const uint64_t count = slot_.id_count.Load();
  LIGHTNING_ASSERT(count <= kIdCache);
  const uint64_t give = std::min<uint64_t>(limit, count);
  if (give == 0) return false;
  for (uint64_t i = count - give; i < count; ++i) GiveId(ObjectId{Low(slot_.ids[i].Load())});
  t_.Set(slot_.id_count, count - give);
  return true;
}

bool Caches::GiveCredits(uint64_t keep) {
  const uint64_t have = slot_.credits.Load();
  if (have <= keep) return false;
  t_.Add(segment_.central().credits, have - keep);
  t_.Set(slot_.credits, keep);
  return true;
}

}  // namespace lightning
