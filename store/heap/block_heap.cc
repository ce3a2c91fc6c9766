#include "store/heap/block_heap.h"

#include <algorithm>

namespace lightning {
namespace {

constexpr uint32_t kPageGranules = kPageSize / kGranule;
constexpr uint64_t kUsed = static_cast<uint64_t>(BlockState::kUsed);
constexpr uint64_t kFree = static_cast<uint64_t>(BlockState::kFree);
constexpr uint64_t kUnused = static_cast<uint64_t>(BlockState::kUnused);

// The first bin all of whose blocks have at least this many granules.
uint32_t FirstSafeBin(uint32_t granules) {
  if (granules < kSecondLevel) return BinOf(granules);
  const uint32_t log = 31u - static_cast<uint32_t>(__builtin_clz(granules));
  const uint64_t rounded = uint64_t{granules} + (1u << (log - 4)) - 1;
  return rounded > ~0u ? kBins : BinOf(static_cast<uint32_t>(rounded));
}

uint32_t LowestBit(uint64_t word) { return static_cast<uint32_t>(__builtin_ctzll(word)); }

}  // namespace

// At most `limit` blocks of one bin, the most recently freed first.
BlockId BlockHeap::FindInBin(uint32_t bin, uint32_t granules, uint32_t limit) const {
  BlockId id{Low(segment_.central().bins[bin].Load())};
  for (uint32_t i = 0; id && i < limit; ++i) {
    if (SizeOf(id) >= granules) return id;
    id = BlockId{Low(segment_.block(id).free_links.Load())};
  }
  return {};
}

BlockId BlockHeap::Find(uint32_t granules) const {
  const Central& central = segment_.central();
  const uint32_t own = BinOf(granules);
  // A block of this very size, freed a moment ago, is warm; so its bin is tried first.
  if (const BlockId recent = FindInBin(own, granules, 4)) return recent;
  const uint32_t safe = FirstSafeBin(granules);
  if (safe < kBins) {
    uint32_t first = safe / kSecondLevel;
    uint64_t second = central.second_level[first].Load() & (~uint64_t{0} << safe % kSecondLevel);
    if (second == 0) {
      const uint64_t above = central.first_level.Load() & (~uint64_t{0} << first << 1);
      if (above != 0) {
        first = LowestBit(above);
        LIGHTNING_ASSERT(first < kFirstLevel);
        second = central.second_level[first].Load();
      }
    }
    if (second != 0) {
      const uint32_t bin = LowestBit(second);
      LIGHTNING_ASSERT(bin < kSecondLevel);
      return BlockId{Low(central.bins[first * kSecondLevel + bin].Load())};
    }
  }
  // Nearly full: look at every block that could just fit, rather than fail while one does.
  return FindInBin(own, granules, ~0u);
}

uint32_t BlockHeap::LargestFree(const Segment& segment) {
  // It stands in the highest bin that is not empty.
  for (uint32_t bin = kBins; bin-- > 0;) {
    uint32_t largest = 0;
    BlockId id{Low(segment.central().bins[bin].Load())};
    for (uint32_t limit = segment.geometry().blocks; segment.Valid(id) && limit > 0; --limit) {
      largest = std::max(largest, Low(segment.block(id).extent.Load()));
      id = BlockId{Low(segment.block(id).free_links.Load())};
    }
    if (largest != 0) return largest;
  }
  return 0;
}

// Entries: the block's links, the old head's links, the bin, two bitmaps: 5.
void BlockHeap::Insert(BlockId id, uint32_t granules) {
  const Central& central = segment_.central();
  const uint32_t bin = BinOf(granules);
  const BlockId head{Low(central.bins[bin].Load())};
  t_.Set(segment_.block(id).free_links, Pack(0, head.value));
  if (head) {
    const Cell& links = segment_.block(head).free_links;
    t_.Set(links, Pack(id.value, Low(links.Load())));
  }
  t_.Set(central.bins[bin], id.value);
  const uint32_t first = bin / kSecondLevel;
  const uint64_t second = central.second_level[first].Load();
  const uint64_t bit = uint64_t{1} << bin % kSecondLevel;
  if ((second & bit) != 0) return;
  t_.Set(central.second_level[first], second | bit);
  if (second == 0) t_.Set(central.first_level, central.first_level.Load() | uint64_t{1} << first);
}

// Entries: links of both neighbours in the bin, or the bin and two bitmaps: 4.
void BlockHeap::Remove(BlockId id, uint32_t granules) {
  const Central& central = segment_.central();
  const uint64_t links = segment_.block(id).free_links.Load();
  const BlockId previous{High(links)}, next{Low(links)};
  if (next) {
    const Cell& its = segment_.block(next).free_links;
    t_.Set(its, Pack(previous.value, Low(its.Load())));
  }
  if (previous) {
    const Cell& its = segment_.block(previous).free_links;
    t_.Set(its, Pack(High(its.Load()), next.value));
    return;
  }
  const uint32_t bin = BinOf(granules);
  t_.Set(central.bins[bin], next.value);
  if (next) return;
  const uint32_t first = bin / kSecondLevel;
  const uint64_t second = central.second_level[first].Load() & ~(uint64_t{1} << bin % kSecondLevel);
  t_.Set(central.second_level[first], second);
  if (second == 0) t_.Set(central.first_level, central.first_level.Load() & ~(uint64_t{1} << first));
}

// Entries: 1.
BlockId BlockHeap::TakeDescriptor() {
  const Central& central = segment_.central();
  const BlockId head{Low(central.block_free_list.Load())};
  if (head) {
    t_.Set(central.block_free_list, Low(segment_.block(head).free_links.Load()));
    return head;
  }
  const uint64_t unused = central.block_unused.Load();
  if (unused >= segment_.geometry().blocks) return {};
  t_.Set(central.block_unused, unused + 1);
  return BlockId{static_cast<uint32_t>(unused + 1)};
}

// Entries: 3.
void BlockHeap::ReturnDescriptor(BlockId id) {
  const Block& block = segment_.block(id);
  const Central& central = segment_.central();
  t_.Set(block.state, kUnused);
  t_.Set(block.free_links, Low(central.block_free_list.Load()));
  t_.Set(central.block_free_list, id.value);
}

// Entries: descriptor 1, two extents, three neighbours: 6.
BlockId BlockHeap::SplitOff(BlockId id, uint32_t granules) {
  const BlockId rest = TakeDescriptor();
  if (!rest) return {};
  const Block& block = segment_.block(id);
  const uint64_t extent = block.extent.Load();
  const uint64_t neighbours = block.neighbours.Load();
  const BlockId next{Low(neighbours)};
  t_.Set(segment_.block(rest).extent, Pack(High(extent) + granules, Low(extent) - granules));
  t_.Set(segment_.block(rest).neighbours, Pack(id.value, next.value));
  t_.Set(block.extent, Pack(High(extent), granules));
  t_.Set(block.neighbours, Pack(High(neighbours), rest.value));
  if (next) {
    const Cell& its = segment_.block(next).neighbours;
    t_.Set(its, Pack(rest.value, Low(its.Load())));
  }
  return rest;
}

// Entries: remove 4, split 6, insert 5, two states, the free count: 18.
BlockId BlockHeap::Allocate(uint32_t granules) {
  const BlockId id = Find(granules);
  if (!id) return {};
  const uint32_t size = SizeOf(id);
  Remove(id, size);
  if (size > granules) {
    const BlockId rest = SplitOff(id, granules);
    LIGHTNING_ASSERT(rest);  // the table has room for two blocks to each object
    t_.Set(segment_.block(rest).state, kFree);
    Insert(rest, size - granules);
  }
  t_.Set(segment_.block(id).state, kUsed);
  t_.Add(segment_.central().free_granules, ~uint64_t{granules} + 1);
  return id;
}

// Entries: remove 4, two splits 12, two inserts 10, three states, the free count: 30.
BlockId BlockHeap::AllocateOnPage(uint32_t granules) {
  if (granules > ~0u - kPageGranules) return {};
  BlockId id = Find(granules + kPageGranules - 1);
  if (!id) {
    // A block that happens to begin on a page needs no slack.
    id = Find(granules);
    if (!id || High(segment_.block(id).extent.Load()) % kPageGranules != 0) return {};
  }
  const uint64_t extent = segment_.block(id).extent.Load();
  Remove(id, Low(extent));
  const uint32_t lead = (kPageGranules - High(extent) % kPageGranules) % kPageGranules;
  if (lead != 0) {
    const BlockId aligned = SplitOff(id, lead);
    LIGHTNING_ASSERT(aligned);
    Insert(id, lead);  // stays free
    id = aligned;
  }
  const uint32_t size = Low(extent) - lead;
  if (size > granules) {
    const BlockId rest = SplitOff(id, granules);
    LIGHTNING_ASSERT(rest);
    t_.Set(segment_.block(rest).state, kFree);
    Insert(rest, size - granules);
  }
  t_.Set(segment_.block(id).state, kUsed);
  t_.Add(segment_.central().free_granules, ~uint64_t{granules} + 1);
  return id;
}

// Entries: two removes 8, two descriptors 6, extents and neighbours 4, state 1, insert 5, the free count 1: 25.
void BlockHeap::Free(BlockId id) {
  uint64_t extent = segment_.block(id).extent.Load();
  uint64_t neighbours = segment_.block(id).neighbours.Load();
  const uint32_t freed = Low(extent);
  const BlockId previous{High(neighbours)}, next{Low(neighbours)};
  BlockId result = id;
  if (IsFree(next)) {
    Remove(next, SizeOf(next));
    extent = Pack(High(extent), freed + SizeOf(next));
    neighbours = Pack(High(neighbours), Low(segment_.block(next).neighbours.Load()));
    ReturnDescriptor(next);
  }
  if (IsFree(previous)) {
    Remove(previous, SizeOf(previous));
    const uint64_t before = segment_.block(previous).extent.Load();
    extent = Pack(High(before), Low(before) + Low(extent));
    neighbours = Pack(High(segment_.block(previous).neighbours.Load()), Low(neighbours));
    ReturnDescriptor(id);
    result = previous;
  }
  const Block& block = segment_.block(result);
  if (Low(extent) != freed) {
    t_.Set(block.extent, extent);
    t_.Set(block.neighbours, neighbours);
    if (const BlockId after{Low(neighbours)}) {
      const Cell& its = segment_.block(after).neighbours;
      t_.Set(its, Pack(result.value, Low(its.Load())));
    }
  }
  t_.Set(block.state, kFree);
  Insert(result, Low(extent));
  t_.Add(segment_.central().free_granules, freed);
}

}  // namespace lightning
