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

// Entries: an id each, the two places that they come from, two counts: 12.
void Caches::FetchIds() {
  const Central& central = segment_.central();
  const uint64_t have = slot_.id_count.Load();
  LIGHTNING_ASSERT(have <= kIdCache);
  const uint64_t want = std::min<uint64_t>(kRefill, kIdCache - have);
  ObjectId next{Low(central.object_free_list.Load())};
  const bool listed{next};
  uint64_t unused = central.object_unused.Load(), got = 0;
  const uint64_t first_unused = unused;
  Writes<kRefill + 4> writes(t_);
  for (; got < want; ++got) {
    ObjectId id = next;
    if (id) {
      next = ObjectId{Low(segment_.object(id).links.Load())};
    } else if (unused < segment_.geometry().objects) {
      id = ObjectId{static_cast<uint32_t>(++unused)};
    } else {
      break;
    }
    writes.Add(slot_.ids[have + got], id.value);
  }
  if (got == 0) return;
  if (listed) writes.Add(central.object_free_list, next.value);
  if (unused != first_unused) writes.Add(central.object_unused, unused);
  writes.Add(central.object_free_count, central.object_free_count.Load() - got);
  writes.Add(slot_.id_count, have + got);
  writes.Write();
}

// Entries: what allocating writes, two words each, and their count.
void Caches::FetchBlocks(uint32_t granules) {
  const uint64_t have = slot_.block_count.Load();
  LIGHTNING_ASSERT(have <= kBlockCache);
  // One block of a large size, several of a small one.
  const uint64_t want = std::min<uint64_t>(granules > kPageSize / kGranule ? 1 : kRefill, kBlockCache - have);
  BlockId ids[kRefill];
  const uint32_t got = BlockHeap(t_).Allocate(granules, std::span(ids, want));
  if (got == 0) return;
  Writes<2 * kRefill + 1> writes(t_);
  for (uint32_t i = 0; i < got; ++i) {
    writes.Add(slot_.blocks[have + i], Pack(granules, ids[i].value));
    writes.Add(slot_.places[have + i], High(segment_.block(ids[i]).extent.Load()));
  }
  writes.Add(slot_.block_count, have + got);
  writes.Write();
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
  t_.Set({{segment_.object(id).links, Low(central.object_free_list.Load())},
          {central.object_free_list, id.value},
          {central.object_free_count, central.object_free_count.Load() + 1}});
}

bool Caches::GiveBlocks(uint32_t limit) {
  const uint64_t count = slot_.block_count.Load();
  LIGHTNING_ASSERT(count <= kBlockCache);
  const uint64_t give = std::min<uint64_t>(limit, count);
  if (give == 0) return false;
  // The oldest stand first; what was kept last stays, since it is warm.
  BlockId ids[kBlockCache];
  for (uint64_t i = 0; i < give; ++i) ids[i] = BlockId{Low(slot_.blocks[i].Load())};
  BlockHeap(t_).Free(std::span(ids, give));
  // Into their place goes what was kept last, as far as need be: fewer moves than a shift of all.
  const uint64_t left = count - give;
  for (uint64_t i = 0; i < std::min(give, left); ++i) {
    const uint64_t from = left < give ? give + i : count - give + i;
    t_.Set({{slot_.blocks[i], slot_.blocks[from].Load()}, {slot_.places[i], slot_.places[from].Load()}});
  }
  t_.Set(slot_.block_count, left);
  return true;
}

// Entries: the links of each, the list's head, two counts.
bool Caches::GiveIds(uint32_t limit) {
  const uint64_t count = slot_.id_count.Load();
  LIGHTNING_ASSERT(count <= kIdCache);
  const uint64_t give = std::min<uint64_t>(limit, count);
  if (give == 0) return false;
  const Central& central = segment_.central();
  uint64_t head = Low(central.object_free_list.Load());
  for (uint64_t i = count - give; i < count; ++i) {
    const ObjectId id{Low(slot_.ids[i].Load())};
    t_.Set(segment_.object(id).links, head);
    head = id.value;
  }
  t_.Set({{central.object_free_list, head},
          {central.object_free_count, central.object_free_count.Load() + give},
          {slot_.id_count, count - give}});
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
