#include "faults/check/undo_watch.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstring>

#include "faults/check/segment_for_tests.h"
#include "faults/target/segments.h"

namespace lightning::faults {
namespace {

// A fresh segment whose words the test writes as it likes.
class UndoWatchTest : public testing::Test {
 protected:
  void Set(const void* place, uint64_t word) { memcpy(memory_.data() + segment_.OffsetOf(place), &word, sizeof word); }
  void Log(SlotIndex slot, uint64_t entry, uint64_t offset, uint64_t old) {
    Set(&segment_.slot(slot).log[entry].offset, offset);
    Set(&segment_.slot(slot).log[entry].old, old);
  }
  void Count(SlotIndex slot, uint64_t count) { Set(&segment_.slot(slot).log_count, count); }
  // A store of 7 over 5.
  std::string Store(uint64_t offset) const {
    const WordChange change{offset, 5, 7};
    return UncoveredStore(segment_, std::span(&change, 1));
  }

  MemorySegment memory_{SmallSegment()};
  const Segment& segment_ = memory_.segment();
  const uint64_t cell_ = segment_.OffsetOf(&segment_.central().free_granules);
};

TEST_F(UndoWatchTest, AnEntryBelowTheCountCoversAStore) {
  Log(2, 1, cell_, 5);
  Count(2, 2);
  EXPECT_EQ(Store(cell_), "");
  EXPECT_NE(Store(cell_ + 8), "") << "another word";
}

TEST_F(UndoWatchTest, WithoutALogAStoreIsFound) {
  EXPECT_EQ(Store(cell_),
            "undo before store: " + NameWord(segment_, cell_) + " went from 0x5 to 0x7, and no undo log covers it");
}

TEST_F(UndoWatchTest, AnEntryThatTheCountDoesNotCoverIsNone) {
  Log(2, 1, cell_, 5);
  Count(2, 1);
  EXPECT_NE(Store(cell_), "");
}

TEST_F(UndoWatchTest, AnEntryWithAnotherValueIsNone) {
  Log(2, 0, cell_, 6);
  Count(2, 1);
  EXPECT_NE(Store(cell_), "");
}

TEST_F(UndoWatchTest, PuttingBackWhatTheLogSaysIsAnUndo) {
  Log(0, 0, cell_, 7);
  Count(0, 1);
  EXPECT_EQ(Store(cell_), "");
}

TEST_F(UndoWatchTest, WordsOfOtherKindsNeedNoEntry) {
  const Slot& slot = segment_.slot(0);
  for (const void* place :
       {static_cast<const void*>(&slot.log_count), static_cast<const void*>(&slot.log[3].old),
        static_cast<const void*>(&slot.lock), static_cast<const void*>(&slot.state),
        static_cast<const void*>(&segment_.central().lock), static_cast<const void*>(&segment_.home_at(0).lock),
        static_cast<const void*>(&segment_.event(0).sequence)})
    EXPECT_EQ(Store(segment_.OffsetOf(place)), "");
  EXPECT_NE(Store(segment_.OffsetOf(&segment_.home_at(0).versions)), "");
  EXPECT_NE(Store(segment_.OffsetOf(&slot.credits)), "");
}

TEST_F(UndoWatchTest, EachOfSeveralStoresIsLookedAt) {
  Log(1, 0, cell_, 5);
  Count(1, 1);
  const WordChange changes[] = {{cell_, 5, 7}, {cell_ + 8, 5, 7}};
  EXPECT_NE(UncoveredStore(segment_, changes), "");
}

TEST_F(UndoWatchTest, WordsAreNamedAsAPlanNamesThem) {
  EXPECT_EQ(NameWord(segment_, 16), "superblock offset 16");
  EXPECT_EQ(NameWord(segment_, segment_.OffsetOf(&segment_.slot(3).log[1].old)), "log 3 offset 24");
  EXPECT_EQ(NameWord(segment_, segment_.OffsetOf(&segment_.home_at(2).next)),
            fmt::format("bucket 2 offset {}", offsetof(Bucket, next)));
  EXPECT_EQ(NameWord(segment_, segment_.OffsetOf(&segment_.object(ObjectId{3}))), "object 2 offset 0");
  EXPECT_EQ(NameWord(segment_, segment_.geometry().heap + 64), "heap offset 64");
}

}  // namespace
}  // namespace lightning::faults
