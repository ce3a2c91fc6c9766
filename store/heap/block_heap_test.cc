#include "store/heap/block_heap.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <vector>

#include "store/testing/with_transaction.h"

namespace lightning {
namespace {

constexpr uint32_t kPageGranules = kPageSize / kGranule;

// A heap under test, and a model of it: the used extents by where they begin.
class BlockHeapTest : public test::WithTransaction {
 protected:
  BlockHeapTest() { LIGHTNING_ASSERT(t_.Lock(central().lock).ok()); }

  uint32_t total() const { return memory_.geometry().heap_granules; }

  // Allocates, checks the extent against the model, and adds it. None: there was no room.
  BlockId Allocate(uint32_t granules, bool on_page = false) {
    const uint64_t before = actor_.slot().log_count.Load();
    const BlockId id = on_page ? heap_.AllocateOnPage(granules) : heap_.Allocate(granules);
    most_allocate_ = std::max(most_allocate_, actor_.slot().log_count.Load() - before);
    t_.Commit(1);
    if (id) Add(id, granules, on_page);
    EXPECT_EQ(free_granules(), total() - used_granules_);
    return id;
  }
  // The same of several; as many as there was room for.
  std::vector<BlockId> AllocateSeveral(uint32_t granules, size_t count) {
    std::vector<BlockId> ids(count);
    const uint64_t before = actor_.slot().log_count.Load();
    ids.resize(heap_.Allocate(granules, ids));
    most_allocate_ = std::max(most_allocate_, (actor_.slot().log_count.Load() - before) / std::max<size_t>(1, count));
    t_.Commit(1);
    for (const BlockId id : ids) Add(id, granules, false);
    EXPECT_EQ(free_granules(), total() - used_granules_);
    return ids;
  }
  void Add(BlockId id, uint32_t granules, bool on_page) {
    const uint64_t extent = segment().block(id).extent.Load();
    const uint32_t begin = High(extent);
    EXPECT_EQ(Low(extent), granules) << "exactly what was asked for";
    EXPECT_LE(uint64_t{begin} + granules, total());
    if (on_page) {
      EXPECT_EQ(begin % kPageGranules, 0u);
    }
    const auto after = used_.lower_bound(begin);
    if (after != used_.end()) {
      EXPECT_LE(begin + granules, after->first) << "overlaps the one behind";
    }
    if (after != used_.begin()) {
      EXPECT_LE(std::prev(after)->second.second, begin) << "overlaps the one before";
    }
    used_[begin] = {id, begin + granules};
    used_granules_ += granules;
  }
  void Free(BlockId id) { FreeSeveral({id}); }
  void FreeSeveral(const std::vector<BlockId>& ids) {
    for (const BlockId id : ids) {
      const uint64_t extent = segment().block(id).extent.Load();
      used_.erase(High(extent));
      used_granules_ -= Low(extent);
    }
    const uint64_t before = actor_.slot().log_count.Load();
    heap_.Free(ids);
    most_free_ = std::max(most_free_, (actor_.slot().log_count.Load() - before) / std::max<size_t>(1, ids.size()));
    t_.Commit(1);
    EXPECT_EQ(free_granules(), total() - used_granules_);
  }
  // The free extents of the model, merged as they must be.
  std::vector<std::pair<uint32_t, uint32_t>> Gaps() const {
    std::vector<std::pair<uint32_t, uint32_t>> gaps;
    uint32_t at = 0;
    for (const auto& [begin, block] : used_) {
      if (begin != at) gaps.push_back({at, begin - at});
      at = block.second;
    }
    if (at != total()) gaps.push_back({at, total() - at});
    return gaps;
  }
  // The free extents of the heap, by its own chain.
  std::vector<std::pair<uint32_t, uint32_t>> FreeExtents() const {
    std::vector<std::pair<uint32_t, uint32_t>> free;
    for (BlockId id{1}; id; id = BlockId{Low(segment().block(id).neighbours.Load())}) {
      const Block& block = segment().block(id);
      if (block.state.Load() == static_cast<uint64_t>(BlockState::kFree))
        free.push_back({High(block.extent.Load()), Low(block.extent.Load())});
    }
    return free;
  }
  uint32_t LargestGap() const {
    uint32_t largest = 0;
    for (const auto& gap : Gaps()) largest = std::max(largest, gap.second);
    return largest;
  }

  BlockHeap heap_{t_};
  std::map<uint32_t, std::pair<BlockId, uint32_t>> used_;  // begin -> block, end
  uint64_t used_granules_ = 0;
  uint64_t most_allocate_ = 0, most_free_ = 0;
};

TEST_F(BlockHeapTest, AFreshHeapIsOneExtentAndCanBeHadWhole) {
  EXPECT_EQ(free_granules(), total());
  const BlockId all = Allocate(total());
  ASSERT_TRUE(all);
  EXPECT_FALSE(Allocate(1)) << "nothing is left";
  Free(all);
  EXPECT_TRUE(Allocate(total()));
}

TEST_F(BlockHeapTest, MoreThanTheLargestExtentIsRefused) {
  EXPECT_FALSE(Allocate(total() + 1));
  EXPECT_FALSE(Allocate(~0u));
  EXPECT_FALSE(Allocate(~0u, /*on_page=*/true));
  EXPECT_EQ(free_granules(), total());
}

TEST_F(BlockHeapTest, FreeNeighboursAreMergedInEveryOrder) {
  std::vector<int> order = {0, 1, 2, 3, 4};
  do {
    std::vector<BlockId> blocks;
    for (const uint32_t size : {3u, 16u, 1u, 100u, 40u}) blocks.push_back(Allocate(size));
    const BlockId fence = Allocate(2);
    for (const int i : order) Free(blocks[static_cast<size_t>(i)]);
    EXPECT_EQ(FreeExtents(), Gaps());
    Free(fence);
    EXPECT_EQ(FreeExtents(), (std::vector<std::pair<uint32_t, uint32_t>>{{0, total()}}));
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST_F(BlockHeapTest, SeveralLieSideBySideAndCostLessThanOneByOne) {
  const uint64_t nothing = actor_.slot().log_count.Load();
  BlockId ids[8];
  ASSERT_EQ(heap_.Allocate(5, ids), 8u);
  const uint64_t together = actor_.slot().log_count.Load() - nothing;
  t_.Commit(1);
  for (uint32_t i = 0; i < 8; ++i) EXPECT_EQ(High(segment().block(ids[i]).extent.Load()), 5 * i);
  heap_.Free(ids);
  EXPECT_LT(actor_.slot().log_count.Load(), together) << "they are put together again before they are listed";
  t_.Commit(1);
  EXPECT_EQ(FreeExtents(), (std::vector<std::pair<uint32_t, uint32_t>>{{0, total()}}));
  for (BlockId& id : ids) id = heap_.Allocate(5);
  EXPECT_GT(actor_.slot().log_count.Load(), 2 * together);
}

TEST_F(BlockHeapTest, OfSeveralAsManyAreGivenAsThereIsRoomFor) {
  const std::vector<BlockId> holes = AllocateSeveral(7, 5);
  ASSERT_TRUE(Allocate(total() - 35));
  Free(holes[0]);
  Free(holes[2]);
  Free(holes[3]);
  EXPECT_EQ(AllocateSeveral(7, 8).size(), 3u) << "from a hole for one and a hole for two";
  EXPECT_TRUE(AllocateSeveral(1, 3).empty());
}

// Recently freed blocks are used first: they are warm.
TEST_F(BlockHeapTest, TheMostRecentlyFreedBlockOfTheSizeIsUsedFirst) {
  std::vector<BlockId> blocks;
  for (int i = 0; i < 8; ++i) {
    blocks.push_back(Allocate(24));
    Allocate(1);  // keeps them apart
  }
  Free(blocks[2]);
  Free(blocks[6]);
  Free(blocks[4]);
  EXPECT_EQ(Allocate(24), blocks[4]);
  EXPECT_EQ(Allocate(24), blocks[6]);
  EXPECT_EQ(Allocate(24), blocks[2]);
}

// A hole that fits exactly is found even when its bin holds many that are a little too small.
TEST_F(BlockHeapTest, TheOneBlockThatFitsIsFoundAmongManyThatDoNot) {
  std::vector<BlockId> holes;
  for (uint32_t i = 0; i < 40; ++i) {
    holes.push_back(Allocate(i == 7 ? 1023 : 992 + i % 16));  // one bin: 992 to 1023
    ASSERT_TRUE(holes.back()) << i;
    ASSERT_TRUE(Allocate(1));
    if (used_granules_ + 1100 > total()) break;
  }
  while (const uint32_t rest = LargestGap()) ASSERT_TRUE(Allocate(rest));
  ASSERT_GT(holes.size(), 7u);
  Free(holes[7]);
  for (size_t i = 0; i < holes.size(); ++i) {
    if (i != 7) Free(holes[i]);
  }
  EXPECT_EQ(Allocate(1023), holes[7]);
}

TEST_F(BlockHeapTest, APageAlignedBlockLeavesBothRestsFree) {
  ASSERT_TRUE(Allocate(5));
  const BlockId page = Allocate(2 * kPageGranules, /*on_page=*/true);
  ASSERT_TRUE(page);
  EXPECT_EQ(High(segment().block(page).extent.Load()), kPageGranules);
  EXPECT_EQ(FreeExtents(), Gaps());
  ASSERT_TRUE(Allocate(kPageGranules - 5)) << "the rest before it can be had";
  Free(page);
  EXPECT_EQ(FreeExtents(), Gaps());
}

TEST_F(BlockHeapTest, APageAlignedBlockMayFillTheHeapExactly) {
  ASSERT_EQ(total() % kPageGranules, 0u);
  EXPECT_TRUE(Allocate(total(), /*on_page=*/true));
  EXPECT_EQ(FreeExtents().size(), 0u);
}

// The whole against a model: random sizes, orders and alignments, small and large.
TEST_F(BlockHeapTest, RandomSequencesAgreeWithTheModel) {
  for (uint32_t seed = 1; seed <= 30; ++seed) {
    std::mt19937 random(seed);
    std::vector<BlockId> mine;
    for (int step = 0; step < 600; ++step) {
      const bool room_for_more = mine.size() < 120;  // as many as there are descriptors for
      if (room_for_more && (mine.empty() || random() % 100 < 58)) {
        const uint32_t size = 1 + static_cast<uint32_t>(random() % (1u << random() % 12));
        const bool on_page = random() % 4 == 0;
        const uint32_t largest = LargestGap();
        if (random() % 4 == 0) {
          const std::vector<BlockId> several = AllocateSeveral(size, 1 + random() % 8);
          EXPECT_EQ(several.empty(), largest < size) << "seed " << seed << " step " << step;
          mine.insert(mine.end(), several.begin(), several.end());
          continue;
        }
        const BlockId id = Allocate(size, on_page);
        if (id) {
          mine.push_back(id);
        } else if (on_page) {
          EXPECT_LT(largest, size + kPageGranules - 1) << "seed " << seed << " step " << step;
        } else {
          EXPECT_LT(largest, size) << "what fits is given: seed " << seed << " step " << step;
        }
      } else {
        // Now and then many, so that neighbours are among them, in any order.
        const size_t count = random() % 8 == 0 ? 1 + random() % mine.size() : 1;
        std::shuffle(mine.begin(), mine.end(), random);
        FreeSeveral({mine.end() - static_cast<std::ptrdiff_t>(count), mine.end()});
        mine.resize(mine.size() - count);
      }
    }
    EXPECT_EQ(FreeExtents(), Gaps()) << "seed " << seed;
    if (const uint32_t largest = LargestGap()) {
      const BlockId id = Allocate(largest);
      EXPECT_TRUE(id) << "the largest extent can be had whole: seed " << seed;
      Free(id);
    }
    for (const BlockId id : mine) Free(id);
    EXPECT_EQ(FreeExtents(), (std::vector<std::pair<uint32_t, uint32_t>>{{0, total()}})) << "seed " << seed;
  }
  // Rule 4: no call wrote more entries than it declares.
  EXPECT_LE(most_allocate_, BlockHeap::kAllocateEntries);
  EXPECT_LE(most_free_, BlockHeap::kFreeEntries);
  EXPECT_GE(most_allocate_, BlockHeap::kAllocateEntries / 2) << "the sequences did come near the bound";
  EXPECT_GE(most_free_, BlockHeap::kFreeEntries / 2);
}

// A transaction that goes away gives everything back, also in the bins and bitmaps.
TEST_F(BlockHeapTest, ARollbackLeavesTheHeapAsItWas) {
  std::mt19937 random(3);
  std::vector<BlockId> mine;
  for (int i = 0; i < 30; ++i) mine.push_back(Allocate(1 + static_cast<uint32_t>(random() % 60)));
  for (size_t i = 0; i < mine.size(); i += 2) Free(mine[i]);
  const auto free_before = FreeExtents();
  const uint64_t granules_before = free_granules();
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(heap_.Allocate(1 + static_cast<uint32_t>(random() % 60)));
  heap_.Free(mine[1]);
  heap_.Free(mine[3]);
  ASSERT_NE(FreeExtents(), free_before);
  t_.Rollback(1);
  EXPECT_EQ(FreeExtents(), free_before);
  EXPECT_EQ(free_granules(), granules_before);
  for (size_t i = 1; i < mine.size(); i += 2) Free(mine[i]);
  EXPECT_TRUE(Allocate(total()));
}

// What is found in a bin is of the bin's sizes, for every size there is.
TEST(BinTest, BinsRiseWithTheSizeAndDifferByLessThanASixteenth) {
  uint32_t last = 0;
  for (uint64_t size = 1; size <= ~0u; size += 1 + size / 37) {
    const auto granules = static_cast<uint32_t>(size);
    const uint32_t bin = BinOf(granules);
    EXPECT_GE(bin, last) << granules;
    EXPECT_LT(bin, kBins) << granules;
    if (size >= 32 && size + size / 16 + 1 <= ~0u) {
      EXPECT_NE(BinOf(granules), BinOf(static_cast<uint32_t>(size + size / 16 + 1)))
          << granules << " shares a bin with one a sixteenth larger";
    }
    last = bin;
  }
}

using BlockHeapDeathTest = BlockHeapTest;

// With nothing free, whatever the bitmaps say is wrong.
TEST_F(BlockHeapDeathTest, ABitmapThatNamesABinThatIsNotThereIsFoundOut) {
  ASSERT_TRUE(Allocate(total()));
  test::Poke(central().first_level, uint64_t{1} << kFirstLevel);
  EXPECT_DEATH(static_cast<void>(heap_.Allocate(1)), "state is not sound");
  test::Poke(central().first_level, uint64_t{1} << (kFirstLevel - 1));
  test::Poke(central().second_level[kFirstLevel - 1], uint64_t{1} << kSecondLevel);
  EXPECT_DEATH(static_cast<void>(heap_.Allocate(1)), "state is not sound");
}

}  // namespace
}  // namespace lightning
