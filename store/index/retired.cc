#include "store/index/retired.h"

#include <array>

namespace lightning {
namespace {

constexpr uint32_t kBatch = 8;  // objects given back by one transaction

struct List {
  const Cell& head;
  const Cell& count;
  const Cell& bytes;
};

Result<uint64_t> DrainList(Transaction& t, const List& list, const PinnedObjects& pinned, bool to_centre,
                           uint32_t keep_locks) {
  const Segment& segment = t.segment();
  uint64_t total = 0, batch_bytes = 0, batch = 0;
  ObjectId kept;                               // the last one left in the list
  uint32_t left = segment.geometry().objects;  // a list that leads back into itself is no list
  auto commit = [&] {
    t.Set({{list.count, list.count.Load() - batch}, {list.bytes, list.bytes.Load() - batch_bytes}});
    t.Commit(keep_locks);
    total += batch_bytes;
    batch = batch_bytes = 0;
  };
  for (ObjectId id{Low(list.head.Load())}; id;) {
    LIGHTNING_ASSERT(left-- > 0);
    const Object& object = segment.object(id);
    const ObjectId next{Low(object.links.Load())};
    if (pinned.Contains(id)) {
      kept = id;
    } else {
      t.Set(kept ? segment.object(kept).links : list.head, next.value);
      batch_bytes += ObjectFields::Read(object).granules() * kGranule;
      ++batch;
      const Status status = ReleaseObject(t, id, to_centre);
      if (!status.ok()) {
        t.Rollback(keep_locks);
        return status;
      }
      if (batch == kBatch) commit();
    }
    id = next;
  }
  if (batch != 0) commit();
  return total;
}

}  // namespace

void Retired::Add(ObjectId id) {
  const Object& object = t_.segment().object(id);
  ObjectHead head = ObjectHead::Decode(object.head.Load());
  head.state = ObjectState::kRetired;
  const uint64_t bytes = ObjectFields::Read(object).granules() * kGranule;
  t_.Set({{object.head, head.Encode()},
          {object.links, Low(slot_.retired_head.Load())},
          {slot_.retired_head, id.value},
          {slot_.retired_count, slot_.retired_count.Load() + 1},
          {slot_.retired_bytes, slot_.retired_bytes.Load() + bytes}});
}

uint64_t Retired::DrainRun(const PinnedObjects& pinned, uint32_t keep_locks, uint32_t* count) {
  const Segment& segment = t_.segment();
  const uint64_t ids = slot_.id_count.Load(), blocks = slot_.block_count.Load();
  constexpr uint32_t kMost = 16;
  std::array<Transaction::Write, 4 * kMost + 5> writes;
  uint32_t written = 0, taken_blocks = 0;
  uint64_t bytes = 0;
  *count = 0;
  ObjectId id{Low(slot_.retired_head.Load())};
  while (id && *count < kMost && !pinned.Contains(id)) {
    const Object& object = segment.object(id);
    const ObjectFields fields = ObjectFields::Read(object);
    const uint64_t granules = fields.granules();
    if (ids + *count >= kIdCache || blocks + taken_blocks >= kBlockCache || granules > Caches::kLarge) break;
    writes[written++] = {object.head, ObjectHead{}.Encode()};
    writes[written++] = {slot_.ids[ids + *count], id.value};
    if (granules != 0) {
      const uint64_t place = (fields.payload - segment.geometry().heap) / kGranule;
      writes[written++] = {slot_.blocks[blocks + taken_blocks],
                           Pack(static_cast<uint32_t>(granules), fields.block.value)};
      writes[written++] = {slot_.places[blocks + taken_blocks], place};
      ++taken_blocks;
    }
    bytes += granules * kGranule;
    ++*count;
    id = ObjectId{Low(object.links.Load())};
  }
  if (*count == 0) return 0;
  writes[written++] = {slot_.retired_head, id.value};
  writes[written++] = {slot_.retired_count, slot_.retired_count.Load() - *count};
  writes[written++] = {slot_.retired_bytes, slot_.retired_bytes.Load() - bytes};
  writes[written++] = {slot_.id_count, ids + *count};
  writes[written++] = {slot_.block_count, blocks + taken_blocks};
  t_.Set(std::span(writes.data(), written));
  t_.Commit(keep_locks);
  return bytes;
}

Result<uint64_t> Retired::Drain(const PinnedObjects& pinned, bool to_centre, uint32_t keep_locks) {
  uint64_t bytes = 0;
  // It ends on any list: each object takes a place in the cache of ids.
  for (uint32_t count = 1; !to_centre && count != 0;) bytes += DrainRun(pinned, keep_locks, &count);
  if (empty()) return bytes;
  const Result<uint64_t> rest = DrainSlowly(pinned, to_centre, keep_locks);
  if (!rest.ok()) return rest;
  return bytes + *rest;
}

Result<uint64_t> Retired::DrainSlowly(const PinnedObjects& pinned, bool to_centre, uint32_t keep_locks) {
  return DrainList(t_, {slot_.retired_head, slot_.retired_count, slot_.retired_bytes}, pinned, to_centre, keep_locks);
}

Result<uint64_t> Retired::DrainOrphans(Transaction& t, const PinnedObjects& pinned, uint32_t keep_locks) {
  const Central& central = t.segment().central();
  return DrainList(t, {central.orphan_head, central.orphan_count, central.orphan_bytes}, pinned, true, keep_locks);
}

Status Retired::Orphan(uint32_t keep_locks) {
  const Segment& segment = t_.segment();
  const Central& central = segment.central();
  uint32_t left = segment.geometry().objects;
  while (const ObjectId id{Low(slot_.retired_head.Load())}) {
    LIGHTNING_ASSERT(left-- > 0);
    const Status status = t_.Lock(central.lock);
    if (!status.ok()) return status;
    const Object& object = segment.object(id);
    const uint64_t bytes = ObjectFields::Read(object).granules() * kGranule;
    t_.Set(slot_.retired_head, Low(object.links.Load()));
    t_.Add(slot_.retired_count, ~uint64_t{0});
    t_.Add(slot_.retired_bytes, ~bytes + 1);
    t_.Set(object.links, Low(central.orphan_head.Load()));
    t_.Set(central.orphan_head, id.value);
    t_.Add(central.orphan_count, 1);
    t_.Add(central.orphan_bytes, bytes);
    t_.Commit(keep_locks);
  }
  return {};
}

Status ReleaseObject(Transaction& t, ObjectId id, bool to_centre) {
  const Object& object = t.segment().object(id);
  const ObjectFields fields = ObjectFields::Read(object);
  const uint64_t granules = fields.granules();
  Caches caches(t);
  t.Set(object.head, ObjectHead{}.Encode());
  const auto place = static_cast<uint32_t>((fields.payload - t.segment().geometry().heap) / kGranule);
  const Caches::Extent extent{fields.block, place};
  bool id_kept = !to_centre && caches.KeepId(id);
  bool block_kept = granules == 0 || (!to_centre && caches.KeepBlock(extent, static_cast<uint32_t>(granules)));
  if (id_kept && block_kept) return {};
  const Status status = t.Lock(t.segment().central().lock);
  if (!status.ok()) return status;
  if (!id_kept) caches.GiveId(id);
  if (!block_kept) BlockHeap(t).Free(fields.block);
  return {};
}

}  // namespace lightning
