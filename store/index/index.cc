#include "store/index/index.h"

namespace lightning::index {
namespace {

// Central: an overflow bucket for use. Entries: 1.
BucketId TakeOverflow(Transaction& t) {
  const Central& central = t.segment().central();
  const BucketId head{Low(central.overflow_free_list.Load())};
  if (head) {
    t.Set(central.overflow_free_list, t.segment().overflow(head).next.Load());
    return head;
  }
  const uint64_t unused = central.overflow_unused.Load();
  LIGHTNING_ASSERT(unused < t.segment().geometry().overflow_buckets);  // there is one to each five objects
  t.Set(central.overflow_unused, unused + 1);
  return BucketId{static_cast<uint32_t>(unused + 1)};
}

}  // namespace

Place Find(const Segment& segment, const Bucket& home, const Key& key) {
  Place found;
  ForEach(segment, home, [&](const Cell& cell, uint64_t entry) {
    if (!EntryMatches(entry, key.hash)) return true;
    const ObjectId id = EntryObject(entry);
    if (!segment.Valid(id) || !KeyEquals(segment, segment.object(id), key)) return true;
    found = {&cell, entry};
    return false;
  });
  return found;
}

Place FindObject(const Segment& segment, const Bucket& home, ObjectId id) {
  Place found;
  ForEach(segment, home, [&](const Cell& cell, uint64_t entry) {
    if (EntryObject(entry) != id) return true;
    found = {&cell, entry};
    return false;
  });
  return found;
}

Status Insert(Transaction& t, const Bucket& home, uint64_t entry) {
  const Bucket* bucket = &home;
  for (;;) {
    for (const Cell& cell : bucket->entries) {
      if (cell.Load() == 0) {
        t.Set(cell, entry);
        return {};
      }
    }
    const BucketId next{Low(bucket->next.Load())};
    if (!next) break;
    bucket = &t.segment().overflow(next);
  }
  const Status status = t.Lock(t.segment().central().lock);
  if (!status.ok()) return status;
  const BucketId grown = TakeOverflow(t);
  t.Set(t.segment().overflow(grown).next, 0);
  t.Set(t.segment().overflow(grown).entries[0], entry);
  t.Set(bucket->next, grown.value);
  return {};
}

Status Remove(Transaction& t, const Bucket& home, const Place& place) {
  const Segment& segment = t.segment();
  // The chain is filled from its front, so its last entry is the last one of the last bucket.
  const Bucket* bucket = &home;
  const Bucket* before = nullptr;
  while (const BucketId next{Low(bucket->next.Load())}) {
    before = bucket;
    bucket = &segment.overflow(next);
  }
  uint32_t last = 0;
  for (uint32_t i = 0; i < kBucketEntries; ++i) {
    if (bucket->entries[i].Load() != 0) last = i;
  }
  const bool shrinks = before != nullptr && last == 0;
  if (shrinks) {
    const Status status = t.Lock(segment.central().lock);
    if (!status.ok()) return status;
  }
  const uint64_t moved = bucket->entries[last].Load();
  if (&bucket->entries[last] != place.cell) t.Set(*place.cell, moved);
  t.Set(bucket->entries[last], 0);
  if (shrinks) {
    const Cell& list = segment.central().overflow_free_list;
    const uint64_t freed = before->next.Load();
    t.Set(bucket->next, list.Load());
    t.Set(list, freed);
    t.Set(before->next, 0);
  }
  return {};
}

uint64_t NextVersion(Transaction& t, const Bucket& home) {
  const uint64_t version = home.versions.Load() + 1;
  t.Set(home.versions, version);
  return version;
}

}  // namespace lightning::index
