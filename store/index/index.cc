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
  LIGHTNING_ASSERT(unused < t.segment().geometry().overflow_buckets);  // there is one to each eight objects
  t.Set(central.overflow_unused, unused + 1);
  return BucketId{static_cast<uint32_t>(unused + 1)};
}

}  // namespace

Place Find(const Segment& segment, const Bucket& home, const Key& key) {
  Place found;
  ForEach(segment, home, [&](const Place& place) {
    if (!EntryMatches(place.entry, key.hash)) return true;
    const ObjectId id = place.object();
    if (!segment.Valid(id) || !KeyEquals(segment, segment.object(id), key)) return true;
    found = place;
    return false;
  });
  return found;
}

Place Guess(const Segment& segment, const Bucket& home, uint64_t hash) {
  Place found;
  ForEach(segment, home, [&](const Place& place) {
    if (!EntryMatches(place.entry, hash) || !segment.Valid(place.object())) return true;
    found = place;
    return false;
  });
  return found;
}

Place FindObject(const Segment& segment, const Bucket& home, ObjectId id) {
  Place found;
  ForEach(segment, home, [&](const Place& place) {
    if (place.object() != id) return true;
    found = place;
    return false;
  });
  return found;
}

Status Insert(Transaction& t, const Bucket& home, uint64_t entry, uint32_t granule) {
  const Bucket* bucket = &home;
  for (;;) {
    for (uint32_t i = 0; i < kBucketEntries; ++i) {
      if (bucket->entry(i).Load() != 0) continue;
      const Place place{bucket, i, entry};
      t.Set({{place.value_cell(), place.WithValue(granule)}, {place.cell(), entry}});
      return {};
    }
    const BucketId next{Low(bucket->next.Load())};
    if (!next) break;
    bucket = &t.segment().overflow(next);
  }
  const Status status = t.Lock(t.segment().central().lock);
  if (!status.ok()) return status;
  const BucketId grown = TakeOverflow(t);
  const Place place{&t.segment().overflow(grown), 0, entry};
  t.Set({{place.bucket->next, 0},
         {place.value_cell(), place.WithValue(granule)},
         {place.cell(), entry},
         {bucket->next, grown.value}});
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
    if (bucket->entry(i).Load() != 0) last = i;
  }
  const bool shrinks = before != nullptr && last == 0;
  if (shrinks) {
    const Status status = t.Lock(segment.central().lock);
    if (!status.ok()) return status;
  }
  const Place moved{bucket, last, bucket->entry(last).Load()};
  if (&moved.cell() != &place.cell())
    t.Set({{place.value_cell(), place.WithValue(moved.value())}, {place.cell(), moved.entry}});
  t.Set(moved.cell(), 0);
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
