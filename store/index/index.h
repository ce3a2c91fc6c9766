// Key -> object. The hash names a home bucket; its lock covers the chain of buckets that begins there, every object
// linked from it, and nothing else, so that different keys proceed in parallel (rule 11).
//
// Writers hold the lock. Readers do not: they note the lock word, look, publish a pin, and look whether the lock word
// is still the same and free; then everything they saw was committed and current at one moment (rule 8). That the lock
// stands in the bucket's own cache line makes this free of extra misses.
#pragma once

#include <cstdint>

#include "lightning/status.h"
#include "store/index/object.h"
#include "store/log/transaction.h"

namespace lightning {

// Where an entry stands.
struct Place {
  const Bucket* bucket = nullptr;
  uint32_t index = 0;
  uint64_t entry = 0;
  explicit operator bool() const { return bucket != nullptr; }
  const Cell& cell() const { return bucket->entry(index); }
  ObjectId object() const { return EntryObject(entry); }
  // Where its value begins, in granules from the heap's start.
  const Cell& value_cell() const { return bucket->places(index); }
  uint32_t value() const { return static_cast<uint32_t>(value_cell().Load() >> index % 2 * 32); }
  // What value_cell() has to hold for it to begin at `granule`.
  uint64_t WithValue(uint32_t granule) const {
    const uint64_t word = value_cell().Load();
    return index % 2 == 0 ? Pack(High(word), granule) : Pack(granule, Low(word));
  }
};

namespace index {

// Has the processor fetch both lines of a bucket, for writing when `kWrite` is 1.
template <int kWrite>
void PrefetchHome(const Bucket& home) {
  __builtin_prefetch(&home, kWrite);
  __builtin_prefetch(reinterpret_cast<const std::byte*>(&home) + 64, kWrite);
}

// The entry of `key`, sealed or not. Under the lock exact; without it, as good as what the reader checks afterwards.
Place Find(const Segment& segment, const Bucket& home, const Key& key);
// The first entry that may be the key's, by its hash alone: no look at any object. A guess, good for a prefetch.
Place Guess(const Segment& segment, const Bucket& home, uint64_t hash);
// The entry of one object.
Place FindObject(const Segment& segment, const Bucket& home, ObjectId id);

// The three REQUIRE the home bucket's lock.
// Adds an entry whose value begins at `granule`. Takes Central::lock when the chain must grow. Entries: kInsertEntries.
Status Insert(Transaction& t, const Bucket& home, uint64_t entry, uint32_t granule);
inline constexpr uint32_t kInsertEntries = 5;
// Replaces the entry at `place` by another one of the same object. Entries: 1.
inline void Replace(Transaction& t, const Place& place, uint64_t entry) { t.Set(place.cell(), entry); }
// Removes it; the chain's last entry takes its place, so that chains waste less than a bucket. Takes Central::lock when
// the chain shrinks. Entries: kRemoveEntries.
Status Remove(Transaction& t, const Bucket& home, const Place& place);
inline constexpr uint32_t kRemoveEntries = 6;

// The next version for a key of this chain: larger than any that a key of it ever had. Entries: 1.
uint64_t NextVersion(Transaction& t, const Bucket& home);

// Calls visit(place) for each entry of the chain until it returns false. `limit` bounds the walk through a chain that
// is being changed.
template <typename Visit>
void ForEach(const Segment& segment, const Bucket& home, Visit visit) {
  const Bucket* bucket = &home;
  for (uint32_t limit = segment.geometry().overflow_buckets + 1; limit > 0; --limit) {
    for (uint32_t i = 0; i < kBucketEntries; ++i) {
      const uint64_t entry = bucket->entry(i).Load();
      if (Low(entry) == 0 || !visit(Place{bucket, i, entry})) return;  // chains are compact
    }
    const BucketId next{Low(bucket->next.Load())};
    if (!segment.Valid(next)) return;
    bucket = &segment.overflow(next);
  }
}

}  // namespace index
}  // namespace lightning
