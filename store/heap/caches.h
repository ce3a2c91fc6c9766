// What one client keeps at hand, so that most operations need no lock but its own: object ids, blocks of the sizes that
// it freed last, and credits (rights to add an object, which make max_objects exact).
//
// REQUIRES of every function here: the transaction holds the lock of the slot it acts for; of those that say
// "central", Central::lock too. Everything kept here counts as free: Reclaim takes it back when memory runs short.
#pragma once

#include <cstdint>

#include "store/heap/block_heap.h"
#include "store/log/transaction.h"

namespace lightning {

class Caches {
 public:
  // Blocks up to this size are kept; larger ones go back to the heap at once.
  static constexpr uint32_t kLargestCached = 64 * 1024 / kGranule + kMaxKeySize / kGranule;
  static constexpr uint32_t kLarge = 8 * 1024 / kGranule;  // of those above this size only a few are kept
  static constexpr uint32_t kLargeCached = 8;
  static constexpr uint32_t kRefill = 8;    // blocks of one size, or ids, taken from the centre at once
  static constexpr uint32_t kCredits = 64;  // credits taken at most at once; more than twice as many go back

  // For the slot that the transaction acts for, or another one whose lock it holds.
  Caches(Transaction& transaction, const Slot& slot) : t_(transaction), segment_(transaction.segment()), slot_(slot) {}
  explicit Caches(Transaction& transaction) : Caches(transaction, transaction.slot()) {}

  bool HasId() const { return slot_.id_count.Load() != 0; }
  bool HasCredit() const { return slot_.credits.Load() != 0; }
  bool HasBlock(uint32_t granules) const { return FindBlock(granules) != kNone; }
  // REQUIRES: HasId() and the like. Entries: 1, 1, 3.
  ObjectId TakeId();
  void TakeCredit() { t_.Add(slot_.credits, ~uint64_t{0}); }
  // A block, and where it begins in granules.
  struct Extent {
    BlockId id;
    uint32_t place = 0;
  };
  Extent TakeBlock(uint32_t granules);

  // False when there is no room; then the thing must go to the centre. Entries: 2 and 3.
  bool KeepId(ObjectId id);
  bool KeepBlock(Extent extent, uint32_t granules) {
    return granules <= kLargestCached && Keep(extent, granules, granules > kLarge ? kLargeCached : kBlockCache);
  }
  void KeepCredit() { t_.Add(slot_.credits, 1); }

  // Central. Fetches what is asked for as far as there is any.
  void FetchIds();
  void FetchBlocks(uint32_t granules);
  void FetchCredits(uint64_t wanted = 1);
  // Central. Puts one into the pool directly. Entries: 3.
  void GiveId(ObjectId id);

  // Central. Gives back up to `limit` of the oldest blocks, of the ids, and all credits above `keep_credits`. False
  // when nothing was left to give. A transaction of its own a call.
  bool GiveBlocks(uint32_t limit);
  bool GiveIds(uint32_t limit);
  bool GiveCredits(uint64_t keep);

  // Has the processor fetch what the next put of this size will write to.
  void PrefetchNext(uint32_t granules) const;

  bool FullOfBlocks() const { return slot_.block_count.Load() > kBlockCache - kRefill; }
  bool FullOfIds() const { return slot_.id_count.Load() > kIdCache - kRefill; }
  bool FullOfCredits() const { return slot_.credits.Load() > 2 * kCredits; }

 private:
  static constexpr uint32_t kNone = ~0u;
  uint32_t FindBlock(uint32_t granules) const;
  bool Keep(Extent extent, uint32_t granules, uint32_t limit);

  Transaction& t_;
  const Segment& segment_;
  const Slot& slot_;
};

}  // namespace lightning
