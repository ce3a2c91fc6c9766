#include "store/heap/caches.h"

#include <gtest/gtest.h>

#include <set>

#include "store/testing/with_transaction.h"

namespace lightning {
namespace {

using test::SmallOptions;

class CachesTest : public test::WithTransaction {
 protected:
  CachesTest() {
    LIGHTNING_ASSERT(t_.Lock(slot().lock).ok());
    LIGHTNING_ASSERT(t_.Lock(central().lock).ok());
  }
  const Geometry& g() const { return memory_.geometry(); }

  Caches caches_{t_};
};

TEST_F(CachesTest, IdsComeFromTheCentreAndGoBack) {
  EXPECT_FALSE(caches_.HasId());
  caches_.FetchIds();
  t_.Commit(2);
  std::set<uint32_t> ids;
  while (caches_.HasId()) ids.insert(caches_.TakeId().value);
  EXPECT_EQ(ids.size(), Caches::kRefill);
  EXPECT_EQ(central().object_free_count.Load(), g().objects - Caches::kRefill);
  for (const uint32_t id : ids) EXPECT_TRUE(caches_.KeepId(ObjectId{id}));
  EXPECT_TRUE(caches_.GiveIds(kIdCache));
  EXPECT_FALSE(caches_.GiveIds(kIdCache)) << "nothing is left to give";
  EXPECT_EQ(central().object_free_count.Load(), g().objects);
  t_.Commit(2);
}

TEST_F(CachesTest, EveryIdCanBeHadOnceAndNoneTwice) {
  std::set<uint32_t> ids;
  for (;;) {
    caches_.FetchIds();
    if (!caches_.HasId()) break;
    while (caches_.HasId()) EXPECT_TRUE(ids.insert(caches_.TakeId().value).second);
    t_.Commit(2);
  }
  EXPECT_EQ(ids.size(), g().objects);
  EXPECT_EQ(*ids.begin(), 1u);
  EXPECT_EQ(*ids.rbegin(), g().objects);
  EXPECT_EQ(central().object_free_count.Load(), 0u);
}

TEST_F(CachesTest, ABlockIsFoundByItsExactSizeTheLatestFirst) {
  caches_.FetchBlocks(5);
  caches_.FetchBlocks(7);
  t_.Commit(2);
  EXPECT_TRUE(caches_.HasBlock(5));
  EXPECT_TRUE(caches_.HasBlock(7));
  EXPECT_FALSE(caches_.HasBlock(6));
  const Caches::Extent first = caches_.TakeBlock(5);
  ASSERT_TRUE(caches_.KeepBlock(first, 5));
  EXPECT_EQ(caches_.TakeBlock(5).id, first.id) << "what was kept last is warm";
  EXPECT_EQ(High(actor_.segment().block(first.id).extent.Load()), first.place);
}

TEST_F(CachesTest, LargeBlocksAreNotKept) {
  BlockHeap heap(t_);
  const BlockId id = heap.Allocate(Caches::kLargestCached + 1);
  ASSERT_TRUE(id);
  EXPECT_FALSE(caches_.KeepBlock({id, High(actor_.segment().block(id).extent.Load())}, Caches::kLargestCached + 1));
}

TEST_F(CachesTest, AFullCacheRefusesAndLosesNothing) {
  BlockHeap heap(t_);
  for (uint32_t i = 0; i < kBlockCache; ++i) {
    const BlockId id = heap.Allocate(1);
    EXPECT_TRUE(caches_.KeepBlock({id, High(actor_.segment().block(id).extent.Load())}, 1));
    t_.Commit(2);
  }
  const uint64_t before = free_granules();
  const BlockId id = heap.Allocate(1);
  EXPECT_FALSE(caches_.KeepBlock({id, 0}, 1));
  heap.Free(id);
  caches_.FetchBlocks(3);  // no room for any: all go back
  EXPECT_EQ(free_granules(), before);
  t_.Commit(2);
  while (caches_.GiveBlocks(Caches::kRefill)) t_.Commit(2);
  EXPECT_EQ(free_granules(), g().heap_granules);
}

TEST_F(CachesTest, FetchingFromANearlyEmptyHeapGivesWhatThereIs) {
  BlockHeap heap(t_);
  ASSERT_TRUE(heap.Allocate(g().heap_granules - 9));
  caches_.FetchBlocks(4);
  EXPECT_TRUE(caches_.HasBlock(4));
  EXPECT_EQ(free_granules(), 1u);
  caches_.FetchBlocks(2);
  EXPECT_FALSE(caches_.HasBlock(2));
}

// Credits make max_objects exact: their sum never changes.
TEST_F(CachesTest, CreditsAreMovedAndNeverMade) {
  const auto sum = [&] { return central().credits.Load() + actor_.slot().credits.Load(); };
  EXPECT_EQ(sum(), SmallOptions().max_objects);
  caches_.FetchCredits();
  EXPECT_TRUE(caches_.HasCredit());
  EXPECT_EQ(sum(), SmallOptions().max_objects);
  EXPECT_EQ(central().credits.Load(), SmallOptions().max_objects / 2) << "the next client finds some too";
  caches_.FetchCredits(40);
  EXPECT_EQ(central().credits.Load(), 0u) << "but who needs more gets what there is";
  caches_.FetchCredits();
  EXPECT_EQ(sum(), SmallOptions().max_objects);
  EXPECT_TRUE(caches_.GiveCredits(3));
  EXPECT_EQ(actor_.slot().credits.Load(), 3u);
  EXPECT_EQ(sum(), SmallOptions().max_objects);
  EXPECT_FALSE(caches_.GiveCredits(3));
}

}  // namespace
}  // namespace lightning
