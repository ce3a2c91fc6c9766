#include "store/index/retired.h"

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
  ObjectId kept;  // the last one left in the list
  auto commit = [&] {
    t.Set({{list.count, list.count.Load() - batch}, {list.bytes, list.bytes.Load() - batch_bytes}});
    t.Commit(keep_locks);
    total += batch_bytes;
    batch = batch_bytes = 0;
  };
  for (ObjectId id{Low(list.head.Load())}; id;) {
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

Result<uint64_t> Retired::Drain(const PinnedObjects& pinned, bool to_centre, uint32_t keep_locks) {
  return DrainList(t_, {slot_.retired_head, slot_.retired_count, slot_.retired_bytes}, pinned, to_centre, keep_locks);
}

Result<uint64_t> Retired::DrainOrphans(Transaction& t, const PinnedObjects& pinned, uint32_t keep_locks) {
  const Central& central = t.segment().central();
  return DrainList(t, {central.orphan_head, central.orphan_count, central.orphan_bytes}, pinned, true, keep_locks);
}

Status Retired::Orphan(uint32_t keep_locks) {
  const Segment& segment = t_.segment();
  const Central& central = segment.central();
  while (const ObjectId id{Low(slot_.retired_head.Load())}) {
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
