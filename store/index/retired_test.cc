#include "store/index/retired.h"

#include <gtest/gtest.h>

#include <vector>

#include "store/testing/with_transaction.h"

namespace lightning {
namespace {

class RetiredTest : public test::WithTransaction {
 protected:
  RetiredTest() { LIGHTNING_ASSERT(t_.Lock(slot().lock).ok()); }
  // A retired object of `granules`.
  ObjectId Retire(uint32_t granules) {
    LIGHTNING_ASSERT(t_.Lock(central().lock).ok());
    Caches caches(t_);
    if (!caches.HasId()) caches.FetchIds();
    const ObjectId id = caches.TakeId();
    const Object& object = memory_.segment().object(id);
    const BlockId block = granules == 0 ? BlockId{} : BlockHeap(t_).Allocate(granules);
    t_.Set(object.head, ObjectHead{ObjectState::kSealed, false, 1, 0}.Encode());
    t_.Set(object.size, uint64_t{granules} * kGranule);
    t_.Set(object.storage, block.value);
    if (block) {
      t_.Set(object.payload,
             memory_.geometry().heap + uint64_t{High(memory_.segment().block(block).extent.Load())} * 64);
    }
    retired_.Add(id);
    t_.Commit(1);
    return id;
  }
  PinnedObjects Pinned(std::vector<ObjectId> ids) {
    auto& page = *reinterpret_cast<ClientPage*>(memory_.memory() + memory_.geometry().ClientPageOffset(0));
    page.pins_used = static_cast<uint32_t>(ids.size());
    for (size_t i = 0; i < ids.size(); ++i) page.pins[i] = ids[i].value;
    PinnedObjects pinned;
    pinned.Collect(memory_.segment());
    return pinned;
  }

  Retired retired_{t_};
};

TEST_F(RetiredTest, WhatNobodyPinsGoesBackAndWhatIsPinnedStays) {
  std::vector<ObjectId> ids;
  for (uint32_t i = 0; i < 10; ++i) ids.push_back(Retire(100 + i));
  EXPECT_EQ(slot().retired_count.Load(), 10u);
  const uint64_t before = free_granules();
  const Result<uint64_t> drained = retired_.Drain(Pinned({ids[0], ids[4], ids[9]}), /*to_centre=*/true, 1);
  ASSERT_TRUE(drained.ok());
  uint64_t expected = 0;
  for (const uint32_t i : {1u, 2u, 3u, 5u, 6u, 7u, 8u}) expected += 100 + i;
  EXPECT_EQ(*drained, expected * kGranule);
  EXPECT_EQ(free_granules() - before, expected);
  EXPECT_EQ(slot().retired_count.Load(), 3u);
  EXPECT_EQ(slot().retired_bytes.Load(), (100u + 104u + 109u) * kGranule);
  ASSERT_TRUE(retired_.Drain(Pinned({}), true, 1).ok());
  EXPECT_TRUE(retired_.empty());
  EXPECT_EQ(slot().retired_bytes.Load(), 0u);
  EXPECT_EQ(free_granules(), memory_.geometry().heap_granules);
}

TEST_F(RetiredTest, ObjectsWithoutABlockGoBackToo) {
  const ObjectId id = Retire(0);
  ASSERT_TRUE(retired_.Drain(Pinned({}), true, 1).ok());
  EXPECT_TRUE(retired_.empty());
  EXPECT_EQ(ObjectHead::Decode(memory_.segment().object(id).head.Load()).state, ObjectState::kFree);
}

TEST_F(RetiredTest, ADrainToTheCachesKeepsSmallBlocksAtHand) {
  Retire(5);
  Retire(Caches::kLargestCached + 1);
  const uint64_t before = free_granules();
  ASSERT_TRUE(retired_.Drain(Pinned({}), /*to_centre=*/false, 1).ok());
  EXPECT_TRUE(Caches(t_).HasBlock(5));
  EXPECT_EQ(free_granules() - before, Caches::kLargestCached + 1) << "the large one went to the centre";
}

TEST_F(RetiredTest, OrphansWaitForTheirLastReader) {
  const ObjectId id = Retire(50);
  Retire(60);
  const PinnedObjects pinned = Pinned({id});
  ASSERT_TRUE(retired_.Orphan(1).ok());
  EXPECT_TRUE(retired_.empty());
  EXPECT_EQ(central().orphan_count.Load(), 2u);
  EXPECT_EQ(central().orphan_bytes.Load(), 110u * kGranule);
  ASSERT_TRUE(t_.Lock(central().lock).ok());
  EXPECT_EQ(*Retired::DrainOrphans(t_, pinned, 2), 60u * kGranule);
  EXPECT_EQ(central().orphan_count.Load(), 1u);
  EXPECT_EQ(*Retired::DrainOrphans(t_, Pinned({}), 2), 50u * kGranule);
  EXPECT_EQ(Low(central().orphan_head.Load()), 0u);
  EXPECT_EQ(central().orphan_bytes.Load(), 0u);
  EXPECT_EQ(free_granules(), memory_.geometry().heap_granules);
}

using RetiredDeathTest = RetiredTest;

// What is pinned stays in the list, so one that leads back into itself would be walked for ever.
TEST_F(RetiredDeathTest, ADrainOfAListThatIsARingEnds) {
  const ObjectId last = Retire(0), first = Retire(0);
  const PinnedObjects pinned = Pinned({first, last});
  test::Poke(memory_.segment().object(last).links, first.value);
  for (const bool to_centre : {false, true})
    EXPECT_DEATH(static_cast<void>(retired_.Drain(pinned, to_centre, 1).ok()), "state is not sound");
  test::Poke(central().orphan_head, first.value);
  EXPECT_DEATH(static_cast<void>(Retired::DrainOrphans(t_, pinned, 1).ok()), "state is not sound");
}

// One that is an orphan already, and follows itself: each step puts it back where the next one finds it.
TEST_F(RetiredDeathTest, OrphaningAListThatIsARingEnds) {
  const ObjectId id = Retire(0);
  ASSERT_TRUE(retired_.Orphan(1).ok());
  test::Poke(memory_.segment().object(id).links, id.value);
  test::Poke(slot().retired_head, id.value);
  EXPECT_DEATH(static_cast<void>(retired_.Orphan(1).ok()), "state is not sound");
}

TEST_F(RetiredTest, ADrainIsDueByCountOrByBytes) {
  EXPECT_FALSE(retired_.Due(0));
  for (int i = 0; i < 40; ++i) Retire(1);
  EXPECT_TRUE(retired_.Due(0));
  EXPECT_FALSE(retired_.Due(40)) << "not again at once for what had to be kept";
  ASSERT_TRUE(retired_.Drain(Pinned({}), true, 1).ok());
  EXPECT_FALSE(retired_.Due(0));
  Retire(4096);
  EXPECT_TRUE(retired_.Due(0)) << "256 KiB";
}

}  // namespace
}  // namespace lightning
