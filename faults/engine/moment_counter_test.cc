#include "faults/engine/moment_counter.h"

#include <gtest/gtest.h>

#include "faults/plan/plan_segment.h"
#include "faults/target/segments.h"
#include "store/log/words.h"

namespace lightning::faults {
namespace {

class MomentCounterTest : public testing::Test {
 protected:
  bool Reached(Moment::Unit unit, const void* place, uint64_t before, uint64_t after) const {
    MomentCounter counter({unit, 1});
    const WordChange change{segment_.OffsetOf(place) & ~uint64_t{7}, before, after};
    counter.Note(segment_, 77, std::span(&change, 1));
    return counter.reached();
  }
  // The one unit among those named by what a store means.
  void ExpectOnly(Moment::Unit expected, const void* place, uint64_t before, uint64_t after) const {
    for (const Moment::Unit unit : {Moment::kLogEntry, Moment::kLogCount, Moment::kCommit, Moment::kLock,
                                    Moment::kUnlock, Moment::kPin, Moment::kUnpin, Moment::kClaim, Moment::kRelease})
      EXPECT_EQ(Reached(unit, place, before, after), unit == expected) << "unit " << unit << ", not " << expected;
  }

  MemorySegment memory_{*SegmentOptions(PlanSegment())};
  const Segment& segment_ = memory_.segment();
};

TEST_F(MomentCounterTest, AStoreMeansWhatItsWordSays) {
  const Slot& slot = segment_.slot(2);
  const uint64_t held = LockValue::Owner(1, 1);
  ExpectOnly(Moment::kLogEntry, &slot.log[3].old, 0, 5);
  ExpectOnly(Moment::kLogCount, &slot.log_count, 1, 2);
  ExpectOnly(Moment::kCommit, &slot.log_count, 2, 0);
  for (const LockWord* lock : {&slot.lock, &segment_.central().lock, &segment_.home_at(1).lock}) {
    ExpectOnly(Moment::kLock, lock, 3, held | 3);
    ExpectOnly(Moment::kUnlock, lock, held | 3, 4);
  }
  const std::atomic<uint32_t>* pins = segment_.client_page(1).pins;
  ExpectOnly(Moment::kPin, &pins[0], 0, 9);
  ExpectOnly(Moment::kPin, &pins[1], 9, Pack(4, 9));
  ExpectOnly(Moment::kUnpin, &pins[1], Pack(4, 9), 9);
  auto life = [](SlotLife its) { return SlotState{its, 1, 0, 0}.Encode(); };
  ExpectOnly(Moment::kClaim, &slot.state, life(SlotLife::kActive), life(SlotLife::kRecovering));
  ExpectOnly(Moment::kRelease, &slot.state, life(SlotLife::kRecovering), life(SlotLife::kFree));
  ExpectOnly(Moment::kRelease, &slot.state, life(SlotLife::kRecovering), life(SlotLife::kRolledBack));
}

TEST_F(MomentCounterTest, TheTwoWordsOfAnEntryCountOnce) {
  const Slot& slot = segment_.slot(0);
  const WordChange offset{segment_.OffsetOf(&slot.log[0].offset), 0, 8}, old{segment_.OffsetOf(&slot.log[0].old), 0, 1};
  const WordChange next{segment_.OffsetOf(&slot.log[1].offset), 0, 8};
  MomentCounter counter({Moment::kLogEntry, 2});
  counter.Note(segment_, 1, std::span(&offset, 1));
  counter.Note(segment_, 2, std::span(&old, 1));
  EXPECT_FALSE(counter.reached());
  counter.Note(segment_, 3, std::span(&next, 1));
  EXPECT_TRUE(counter.reached());
}

TEST_F(MomentCounterTest, StoresAndInstructionsAreCountedWhateverTheyMean) {
  const WordChange change{segment_.OffsetOf(&segment_.central().free_granules), 1, 2};
  MomentCounter store({Moment::kStore, 2}), instruction({Moment::kInstruction, 50});
  store.Note(segment_, 10, std::span(&change, 1));
  instruction.Note(segment_, 49, std::span(&change, 1));
  EXPECT_FALSE(store.reached() || instruction.reached());
  store.Note(segment_, 20, std::span(&change, 1));
  instruction.Note(segment_, 51, std::span(&change, 1));
  EXPECT_TRUE(store.reached() && instruction.reached());
}

}  // namespace
}  // namespace lightning::faults
