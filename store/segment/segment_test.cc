#include "store/segment/segment.h"

#include <gtest/gtest.h>

#include <set>

#include "store/testing/testing.h"

namespace lightning {
namespace {

using test::MemorySegment;
using test::SmallOptions;

class SegmentTest : public testing::Test {
 protected:
  const MemorySegment memory_{SmallOptions()};
  const Segment segment_ = memory_.segment();
  const Geometry& g_ = memory_.geometry();

  bool IsCell(const void* place) const { return segment_.IsCell(segment_.OffsetOf(place)); }
  bool IsLock(const void* place) const { return segment_.IsLock(segment_.OffsetOf(place)); }
};

// What recovery may write (rule 6 acts on a log that may be anybody's garbage).
TEST_F(SegmentTest, ALogMayNameCellsAlone) {
  const Slot& slot = segment_.slot(2);
  const Bucket& bucket = segment_.home_at(1);
  const Object& object = segment_.object(ObjectId{g_.objects});
  const Block& block = segment_.block(BlockId{g_.blocks});
  for (const Cell* cell :
       {&segment_.central().free_granules, &segment_.central().subscribers, &segment_.central().bins[kBins - 1],
        &slot.credits, &slot.blocks[kBlockCache - 1], &bucket.versions, &bucket.entry(4), &bucket.places(7),
        &bucket.next, &object.head, &object.tick, &block.extent, &block.state})
    EXPECT_TRUE(IsCell(cell)) << segment_.OffsetOf(cell);
  for (const void* other : std::initializer_list<const void*>{
           &segment_.central().lock, &segment_.central().event_lock, &slot.state, &slot.pid, &slot.lock,
           &slot.held_count, &slot.held[3], &slot.log_count, &slot.log[0], &slot.log[kLogCapacity - 1].old,
           &bucket.lock, &segment_.super(), &segment_.event(0), &segment_.client_page(0), segment_.bytes(g_.heap)})
    EXPECT_FALSE(IsCell(other)) << segment_.OffsetOf(other);
  EXPECT_FALSE(segment_.IsCell(segment_.OffsetOf(&object.head) + 4)) << "not at the beginning of a word";
  EXPECT_FALSE(segment_.IsCell(~uint64_t{7}));
}

TEST_F(SegmentTest, AListOfHeldLocksMayNameLocksAlone) {
  std::set<uint64_t> locks = {segment_.OffsetOf(&segment_.central().lock),
                              segment_.OffsetOf(&segment_.central().event_lock)};
  for (SlotIndex i = 0; i < g_.max_clients; ++i) locks.insert(segment_.OffsetOf(&segment_.slot(i).lock));
  for (uint32_t i = 0; i < g_.home_buckets; ++i) locks.insert(segment_.OffsetOf(&segment_.home_at(i).lock));
  for (uint64_t offset = 0; offset < g_.size; ++offset)
    EXPECT_EQ(segment_.IsLock(offset), locks.contains(offset)) << offset;
  EXPECT_FALSE(segment_.IsLock(~uint64_t{0}));
}

// No word is both a cell and a lock.
TEST_F(SegmentTest, CellsAndLocksAreDisjoint) {
  for (uint64_t offset = 0; offset < g_.size; offset += 8)
    EXPECT_FALSE(segment_.IsCell(offset) && segment_.IsLock(offset)) << offset;
}

TEST_F(SegmentTest, EveryHashHasAHomeBucketOfTheTable) {
  std::set<const Bucket*> seen;
  for (uint64_t i = 0; i < 4096; ++i) seen.insert(&segment_.home(i * 0x9E37'79B9'7F4A'7C15));
  EXPECT_EQ(seen.size(), g_.home_buckets);
  EXPECT_EQ(*seen.begin(), &segment_.home_at(0));
  EXPECT_EQ(*seen.rbegin(), &segment_.home_at(g_.home_buckets - 1));
  EXPECT_EQ(&segment_.home(~uint64_t{0}), &segment_.home_at(g_.home_buckets - 1));
}

TEST_F(SegmentTest, HeapRangesAreCheckedWithoutOverflow) {
  EXPECT_TRUE(segment_.InHeap(g_.heap, g_.size - g_.heap));
  EXPECT_TRUE(segment_.InHeap(g_.size, 0));
  EXPECT_FALSE(segment_.InHeap(g_.heap, g_.size - g_.heap + 1));
  EXPECT_FALSE(segment_.InHeap(g_.heap - 1, 1));
  EXPECT_FALSE(segment_.InHeap(g_.heap + 1, ~uint64_t{0}));
  EXPECT_FALSE(segment_.InHeap(~uint64_t{0}, 2));
}

TEST_F(SegmentTest, IdsOutsideTheirTableAreNotValid) {
  EXPECT_FALSE(segment_.Valid(ObjectId{0}));
  EXPECT_TRUE(segment_.Valid(ObjectId{g_.objects}));
  EXPECT_FALSE(segment_.Valid(ObjectId{g_.objects + 1}));
  EXPECT_FALSE(segment_.Valid(BlockId{g_.blocks + 1}));
  EXPECT_FALSE(segment_.Valid(BucketId{g_.overflow_buckets + 1}));
  EXPECT_DEATH(static_cast<void>(segment_.object(ObjectId{g_.objects + 1})), "state is not sound");
  EXPECT_DEATH(static_cast<void>(segment_.block(BlockId{0})), "state is not sound");
}

}  // namespace
}  // namespace lightning
