#include "faults/check/word_names.h"

#include <gtest/gtest.h>

#include <set>

#include "faults/check/segment_for_tests.h"
#include "faults/target/segments.h"
#include "store/log/words.h"

namespace lightning::faults {
namespace {

TEST(WordNamesTest, AWordHasTheNameOfItsField) {
  const MemorySegment memory(SmallSegment());
  const Segment& segment = memory.segment();
  const auto name = [&](const auto& word) { return WordName(segment, segment.OffsetOf(&word)); };
  EXPECT_EQ(name(segment.central().lock), "central lock");
  EXPECT_EQ(name(segment.central().bins[3]), "central bins[3]");
  EXPECT_EQ(name(segment.slot(1).state), "slot 1 state");
  EXPECT_EQ(name(segment.slot(1).log_count), "slot 1 log_count");
  EXPECT_EQ(name(segment.slot(1).log[7].offset), "slot 1 log[7].offset");
  EXPECT_EQ(name(segment.slot(0).log[kLogCapacity - 1].old), "slot 0 log[1535].old");
  EXPECT_EQ(name(segment.home_at(2).lock), "bucket 2 lock");
  EXPECT_EQ(name(segment.home_at(2).entry(5)), "bucket 2 second.entries[1]");
  EXPECT_EQ(name(segment.object({4}).head), "object 3 head");
  EXPECT_EQ(name(segment.block({1}).state), "block 0 state");
  EXPECT_EQ(name(segment.event(1).sequence), "event 1 sequence");
  EXPECT_EQ(name(segment.client_page(1).pins_used), "page 1 pins_used");
  EXPECT_EQ(name(segment.client_page(1).pins[1]), "page 1 pins[1]");
}

TEST(WordNamesTest, NoTwoWordsOfTheControlRegionShareAName) {
  const MemorySegment memory(SmallSegment());
  std::set<std::string> names;
  for (uint64_t at = 0; at < memory.segment().geometry().control_end; at += 8) {
    const std::string name = WordName(memory.segment(), at);
    EXPECT_TRUE(names.insert(name).second) << name << " at " << at;
  }
}

TEST(WordNamesTest, AValueIsSaidAsWhatItMeans) {
  const MemorySegment memory(SmallSegment());
  const Segment& segment = memory.segment();
  const auto meaning = [&](const auto& word, uint64_t value) {
    return WordMeaning(segment, segment.OffsetOf(&word), value);
  };
  EXPECT_EQ(meaning(segment.central().lock, LockValue::Owner(1, 5) | 9), "held by slot 1, generation 5");
  EXPECT_EQ(meaning(segment.home_at(0).lock, 9), "free, released 9 times");
  EXPECT_EQ(meaning(segment.slot(0).state, SlotState{SlotLife::kRecovering, 3, 1, 2}.Encode()),
            "recovering, generation 3, by slot 1, generation 2");
  EXPECT_EQ(meaning(segment.slot(0).log[0].offset, segment.OffsetOf(&segment.central().credits)), "central credits");
  EXPECT_EQ(meaning(segment.slot(0).log[0].old, 16), "0x10");
  EXPECT_EQ(meaning(segment.object({1}).head, ObjectHead{ObjectState::kUnsealed, false, 6, 1}.Encode()),
            "unsealed, key of 6 bytes, of slot 1");
}

}  // namespace
}  // namespace lightning::faults
