// Objects that were unlinked and wait for their last reader. Each client keeps its own list, so that a put or delete
// scans the pins once for many of them; what a client leaves behind that is still pinned becomes an orphan.
#pragma once

#include <cstdint>

#include "store/heap/caches.h"
#include "store/index/object.h"
#include "store/index/pins.h"
#include "store/log/transaction.h"

namespace lightning {

// REQUIRES of all: the transaction holds the lock of `slot`.
class Retired {
 public:
  Retired(Transaction& transaction, const Slot& slot) : t_(transaction), slot_(slot) {}
  explicit Retired(Transaction& transaction) : Retired(transaction, transaction.slot()) {}

  // Adds an object whose entry this transaction has removed. Entries: kAddEntries.
  void Add(ObjectId id);
  static constexpr uint32_t kAddEntries = 5;

  // Worth a scan: enough objects, or enough memory.
  bool Due(uint64_t kept_last_time) const {
    return slot_.retired_count.Load() >= kDueCount + 2 * kept_last_time || slot_.retired_bytes.Load() >= kDueBytes;
  }
  bool empty() const { return slot_.retired_count.Load() == 0; }

  // Gives back the objects of the list that are not in `pinned`, several to a committed transaction, keeping the first
  // `keep_locks` locks. To the client's caches, or with `to_centre` to the common pools. Returns the bytes given back.
  Result<uint64_t> Drain(const PinnedObjects& pinned, bool to_centre, uint32_t keep_locks);
  // Central. Moves the list to the orphans, one object to a committed transaction.
  Status Orphan(uint32_t keep_locks);

  // Central. The same as Drain for the orphans; needs no slot lock.
  static Result<uint64_t> DrainOrphans(Transaction& t, const PinnedObjects& pinned, uint32_t keep_locks);

 private:
  static constexpr uint64_t kDueCount = 32;
  // From the front of the list into the caches: as many unpinned objects as one transaction takes and the caches have
  // room for, with few words logged. Returns the bytes; `*count` the objects.
  uint64_t DrainRun(const PinnedObjects& pinned, uint32_t keep_locks, uint32_t* count);

  Result<uint64_t> DrainSlowly(const PinnedObjects& pinned, bool to_centre, uint32_t keep_locks);

  static constexpr uint64_t kDueBytes = 128 * 1024;

  Transaction& t_;
  const Slot& slot_;
};

// Makes the object's id and extent free again, in the caches of `caches` where there is room and `to_centre` is false.
// Takes Central::lock when it must. Entries: kReleaseEntries.
Status ReleaseObject(Transaction& t, ObjectId id, bool to_centre);
inline constexpr uint32_t kReleaseEntries = 1 + 3 + BlockHeap::kFreeEntries;

}  // namespace lightning
