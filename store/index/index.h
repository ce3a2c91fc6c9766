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
  const Cell* cell = nullptr;
  uint64_t entry = 0;
  explicit operator bool() const { return cell != nullptr; }
  ObjectId object() const { return EntryObject(entry); }
};

namespace index {

// The entry of `key`, sealed or not. Under the lock exact; without it, as good as what the reader checks afterwards.
Place Find(const Segment& segment, const Bucket& home, const Key& key);
// The entry of one object.
Place FindObject(const Segment& segment, const Bucket& home, ObjectId id);

// The three REQUIRE the home bucket's lock.
// Adds an entry. Takes Central::lock when the chain must grow. Entries: kInsertEntries.
Status Insert(Transaction& t, const Bucket& home, uint64_t entry);
inline constexpr uint32_t kInsertEntries = 4;
// Replaces the entry at `place`. Entries: 1.
inline void Replace(Transaction& t, const Place& place, uint64_t entry) { t.Set(*place.cell, entry); }
// Removes it; the chain's last entry takes its place, so that chains waste less than a bucket. Takes Central::lock when
// the chain shrinks. Entries: kRemoveEntries.
Status Remove(Transaction& t, const Bucket& home, const Place& place);
inline constexpr uint32_t kRemoveEntries = 5;

// The next version for a key of this chain: larger than any that a key of it ever had. Entries: 1.
uint64_t NextVersion(Transaction& t, const Bucket& home);

// Calls visit(cell, entry) for each entry of the chain until it returns false. `limit` bounds the walk through a chain
// that is being changed.
template <typename Visit>
void ForEach(const Segment& segment, const Bucket& home, Visit visit) {
  const Bucket* bucket = &home;
  for (uint32_t limit = segment.geometry().overflow_buckets + 1; limit > 0; --limit) {
    for (const Cell& cell : bucket->entries) {
      const uint64_t entry = cell.Load();
      if (Low(entry) != 0 && !visit(cell, entry)) return;
    }
    const BucketId next{Low(bucket->next.Load())};
    if (!segment.Valid(next)) return;
    bucket = &segment.overflow(next);
  }
}

}  // namespace index
}  // namespace lightning
