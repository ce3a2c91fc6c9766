#include "store/heap/block_heap.h"

#include <algorithm>
#include <utility>

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
  Writes<5> writes(t_);
  writes.Add(segment_.block(id).free_links, Pack(0, head.value));
  if (head) {
    const Cell& links = segment_.block(head).free_links;
    writes.Add(links, Pack(id.value, Low(links.Load())));
  }
  writes.Add(central.bins[bin], id.value);
  const uint32_t first = bin / kSecondLevel;
  const uint64_t second = central.second_level[first].Load();
  const uint64_t bit = uint64_t{1} << bin % kSecondLevel;
  if ((second & bit) == 0) writes.Add(central.second_level[first], second | bit);
  if (second == 0) writes.Add(central.first_level, central.first_level.Load() | uint64_t{1} << first);
  writes.Write();
}

// Entries: links of both neighbours in the bin, or the bin and two bitmaps: 4.
void BlockHeap::Remove(BlockId id, uint32_t granules) {
  const Central& central = segment_.central();
  const uint64_t links = segment_.block(id).free_links.Load();
  const BlockId previous{High(links)}, next{Low(links)};
  Writes<4> writes(t_);
  if (next) {
    const Cell& its = segment_.block(next).free_links;
    writes.Add(its, Pack(previous.value, Low(its.Load())));
  }
  if (previous) {
    const Cell& its = segment_.block(previous).free_links;
    writes.Add(its, Pack(High(its.Load()), next.value));
  } else {
    const uint32_t bin = BinOf(granules);
    writes.Add(central.bins[bin], next.value);
    if (!next) {
      const uint32_t first = bin / kSecondLevel;
      const uint64_t second = central.second_level[first].Load() & ~(uint64_t{1} << bin % kSecondLevel);
      writes.Add(central.second_level[first], second);
      if (second == 0) writes.Add(central.first_level, central.first_level.Load() & ~(uint64_t{1} << first));
    }
  }
  writes.Write();
}

// Takes descriptors of no block, or gives some back, and writes once where they come from. REQUIRES: Write() after the
// last call. Entries: 2, and 2 for each that is given back.
class BlockHeap::Descriptors {
 public:
  explicit Descriptors(BlockHeap& heap)
      : t_(heap.t_), segment_(heap.segment_), head_{Low(segment_.central().block_free_list.Load())}, first_(head_) {}

  // None: all are in use.
  BlockId Take() {
    if (head_) return std::exchange(head_, BlockId{Low(segment_.block(head_).free_links.Load())});
    const uint64_t unused = segment_.central().block_unused.Load() + taken_;
    if (unused >= segment_.geometry().blocks) return {};
    ++taken_;
    return BlockId{static_cast<uint32_t>(unused + 1)};
  }
  void Give(BlockId id) {
    const Block& block = segment_.block(id);
    t_.Set({{block.state, kUnused}, {block.free_links, head_.value}});
    head_ = id;
  }
  void Write() {
    const Central& central = segment_.central();
    if (head_.value != first_.value) t_.Set(central.block_free_list, head_.value);
    if (taken_ != 0) t_.Add(central.block_unused, taken_);
  }

 private:
  Transaction& t_;
  const Segment& segment_;
  BlockId head_;
  const BlockId first_;
  uint64_t taken_ = 0;  // of those that were never used
};

// Entries: descriptor 1, two extents, three neighbours: 6.
BlockId BlockHeap::SplitOff(BlockId id, uint32_t granules) {
  Descriptors descriptors(*this);
  const BlockId rest = descriptors.Take();
  if (!rest) return {};
  descriptors.Write();
  const Block& block = segment_.block(id);
  const uint64_t extent = block.extent.Load();
  const uint64_t neighbours = block.neighbours.Load();
  const BlockId next{Low(neighbours)};
  Writes<5> writes(t_);
  writes.Add(segment_.block(rest).extent, Pack(High(extent) + granules, Low(extent) - granules));
  writes.Add(segment_.block(rest).neighbours, Pack(id.value, next.value));
  writes.Add(block.extent, Pack(High(extent), granules));
  writes.Add(block.neighbours, Pack(High(neighbours), rest.value));
  if (next) {
    const Cell& its = segment_.block(next).neighbours;
    writes.Add(its, Pack(rest.value, Low(its.Load())));
  }
  writes.Write();
  return rest;
}

// Entries: 3 for each part; descriptors 2; for the rest 3, its neighbour 1, insert 5: 11 and 3 a part.
void BlockHeap::Cut(BlockId id, uint32_t granules, std::span<BlockId> parts) {
  const Block& whole = segment_.block(id);
  const uint64_t extent = whole.extent.Load(), neighbours = whole.neighbours.Load();
  const BlockId after{Low(neighbours)};
  uint32_t begin = High(extent), left = Low(extent);
  if (left == granules) {
    parts[0] = id;
    return t_.Set(whole.state, kUsed);
  }
  Descriptors descriptors(*this);
  BlockId before{High(neighbours)}, part = id;
  for (BlockId& its : parts) {
    const BlockId next = left > granules ? descriptors.Take() : after;
    LIGHTNING_ASSERT(next || left == granules);  // the table has room for two blocks to each object
    const Block& block = segment_.block(part);
    t_.Set({{block.extent, Pack(begin, granules)},
            {block.neighbours, Pack(before.value, next.value)},
            {block.state, kUsed}});
    its = before = part;
    part = next;
    begin += granules;
    left -= granules;
  }
  descriptors.Write();
  if (left != 0) {
    const Block& block = segment_.block(part);
    t_.Set(
        {{block.extent, Pack(begin, left)}, {block.neighbours, Pack(before.value, after.value)}, {block.state, kFree}});
    Insert(part, left);
    before = part;
  }
  if (after) {
    const Cell& its = segment_.block(after).neighbours;
    t_.Set(its, Pack(before.value, Low(its.Load())));
  }
}

// Entries: the free count 1, and for each block that is cut remove 4, 11, and 3 a part: 19 at most.
uint32_t BlockHeap::Allocate(uint32_t granules, std::span<BlockId> ids) {
  size_t got = 0;
  while (got < ids.size()) {
    const BlockId id = Find(granules);
    if (!id) break;
    const uint32_t size = SizeOf(id);
    const size_t parts = std::min<size_t>(size / granules, ids.size() - got);
    Remove(id, size);
    Cut(id, granules, ids.subspan(got, parts));
    got += parts;
  }
  if (got != 0) t_.Add(segment_.central().free_granules, ~(uint64_t{granules} * got) + 1);
  return static_cast<uint32_t>(got);
}

BlockId BlockHeap::Allocate(uint32_t granules) {
  BlockId id;
  Allocate(granules, std::span(&id, 1));
  return id;
}

// Entries: remove 4, split 6, insert 5, cut 14, the free count 1: 30.
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
  Cut(id, granules, std::span(&id, 1));
  t_.Add(segment_.central().free_granules, ~uint64_t{granules} + 1);
  return id;
}

// Puts a free extent into its bin: its block says so first, and the block behind it. Entries: block 3, neighbour 1,
// insert 5: 9.
void BlockHeap::List(const Extent& free) {
  const Block& block = segment_.block(free.id);
  const uint64_t extent = Pack(free.begin, free.granules);
  Writes<4> writes(t_);
  writes.Add(block.state, kFree);
  if (block.extent.Load() != extent) {
    writes.Add(block.extent, extent);
    writes.Add(block.neighbours, Pack(free.before.value, free.after.value));
    if (free.after) {
      const Cell& its = segment_.block(free.after).neighbours;
      writes.Add(its, Pack(free.id.value, Low(its.Load())));
    }
  }
  writes.Write();
  Insert(free.id, free.granules);
}

// Entries: the free count 1, the list of descriptors 1; for each block two removes 8, two descriptors 4, and 9 to list
// it: 23 and no more.
void BlockHeap::Free(std::span<const BlockId> ids) {
  Descriptors descriptors(*this);
  // The two become one, under the descriptor of the first.
  const auto join = [&](Extent* first, const Extent& second) {
    descriptors.Give(second.id);
    first->granules += second.granules;
    first->after = second.after;
  };
  uint64_t freed = 0;
  Extent open;  // merged, and in no bin yet: what is freed next may lie beside it
  for (const BlockId id : ids) {
    Extent extent = ExtentOf(id);
    freed += extent.granules;
    const bool behind = open.id && open.begin + open.granules == extent.begin;
    const bool before = open.id && extent.begin + extent.granules == open.begin;
    if (open.id && !behind && !before) List(std::exchange(open, Extent{}));
    if (before) {
      join(&extent, open);
    } else if (IsFree(extent.after)) {
      const Extent next = ExtentOf(extent.after);
      Remove(next.id, next.granules);
      join(&extent, next);
    }
    if (behind) {
      join(&open, extent);
      continue;
    }
    open = extent;
    if (!IsFree(extent.before)) continue;
    open = ExtentOf(extent.before);
    Remove(open.id, open.granules);
    join(&open, extent);
  }
  if (open.id) List(open);
  descriptors.Write();
  if (freed != 0) t_.Add(segment_.central().free_granules, freed);
}

}  // namespace lightning
