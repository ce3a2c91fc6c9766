// The allocator of extents: two-level segregated fit (TLSF: Masmano, Ripoll, Crespo, Real 2004) with its headers out of
// line, in the block table. Allocation and release take a bounded number of steps and log entries; neighbours that are
// free are merged at once, so two free blocks never touch.
//
// REQUIRES of every function here: the transaction holds Central::lock.
#pragma once

#include <cstdint>
#include <span>

#include "store/log/transaction.h"

namespace lightning {

// Extents are counted in granules of kGranule bytes.
constexpr uint64_t Granules(uint64_t bytes) { return (bytes + kGranule - 1) / kGranule; }

class BlockHeap {
 public:
  explicit BlockHeap(Transaction& transaction) : t_(transaction), segment_(transaction.segment()) {}

  // A used block of exactly `granules` > 0, from the most recently freed blocks that fit well; none when no free block
  // is large enough.
  BlockId Allocate(uint32_t granules);
  // As many of them as there is room for, side by side where a free block has room for several: how many that are.
  uint32_t Allocate(uint32_t granules, std::span<BlockId> ids);
  // The same, beginning on a page.
  BlockId AllocateOnPage(uint32_t granules);
  void Free(BlockId id) { Free(std::span(&id, 1)); }
  // Several cost less than one by one where they lie side by side and come in their order.
  void Free(std::span<const BlockId> ids);

  // Granules of the largest free block; a hint unless the lock is held, but safe without it.
  static uint32_t LargestFree(const Segment& segment);

  // Log entries that one call may write for each block, counted from the code: see the comment at each place.
  static constexpr uint32_t kAllocateEntries = 30;
  static constexpr uint32_t kFreeEntries = 23;

 private:
  class Descriptors;
  BlockId Find(uint32_t granules) const;
  BlockId FindInBin(uint32_t bin, uint32_t granules, uint32_t limit) const;
  void Insert(BlockId id, uint32_t granules);
  void Remove(BlockId id, uint32_t granules);
  // Makes the part of the unlisted block `id` from `granules` on a block of its own, also unlisted. None: no
  // descriptor.
  BlockId SplitOff(BlockId id, uint32_t granules);
  // Makes used blocks of `granules` of the unlisted block `id`, from its beginning on; what is left becomes free.
  // REQUIRES: there is room for all `parts`, of which there is one.
  void Cut(BlockId id, uint32_t granules, std::span<BlockId> parts);

  // A block by its words, and by what they shall be.
  struct Extent {
    BlockId id;
    uint32_t begin = 0, granules = 0;
    BlockId before, after;
  };
  Extent ExtentOf(BlockId id) const {
    const uint64_t extent = segment_.block(id).extent.Load(), neighbours = segment_.block(id).neighbours.Load();
    return {id, High(extent), Low(extent), BlockId{High(neighbours)}, BlockId{Low(neighbours)}};
  }
  void List(const Extent& free);

  uint32_t SizeOf(BlockId id) const { return Low(segment_.block(id).extent.Load()); }
  bool IsFree(BlockId id) const {
    return id && segment_.block(id).state.Load() == static_cast<uint64_t>(BlockState::kFree);
  }

  Transaction& t_;
  const Segment& segment_;
};

}  // namespace lightning
