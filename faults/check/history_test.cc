#include "faults/check/history.h"

#include <gtest/gtest.h>

namespace lightning::faults {
namespace {

constexpr WriteId kA = 1ull << 48 | 1, kB = 2ull << 48 | 1;

KeyEvent Write(WriteId write, uint64_t begin, uint64_t end, bool completed = true, uint64_t version = 0) {
  return {Did::kWrite, completed, begin, end, write, version, 0, static_cast<uint32_t>(write >> 48)};
}
KeyEvent Delete(uint64_t begin, uint64_t end, bool completed = true) {
  return {Did::kDelete, completed, begin, end, 0, 0, 0, 3};
}
KeyEvent Saw(WriteId write, uint64_t begin, uint64_t end) { return {Did::kSaw, true, begin, end, write, 0, 0, 4}; }
KeyEvent SawNothing(uint64_t begin, uint64_t end) { return {Did::kSawNothing, true, begin, end, 0, 0, 0, 4}; }

std::string Judge(std::vector<KeyEvent> events, WriteId first = 0) {
  History history;
  history[1] = {first, 0, std::move(events)};
  return JudgeHistory(history);
}

TEST(ValueTest, SaysWhoWroteIt) {
  std::byte value[200];
  FillValue(value, sizeof value, 5, kA);
  std::string error;
  EXPECT_EQ(ReadValue(value, 5, &error), kA);
  EXPECT_EQ(ReadValue(value, 6, &error), 0u) << "another key's";
  EXPECT_EQ(ReadValue(Bytes(value).first(199), 5, &error), 0u) << "cut short";
}

TEST(ValueTest, ATornValueIsSeenWhereverItIsTorn) {
  std::byte old_value[300], new_value[300];
  FillValue(old_value, sizeof old_value, 5, kA);
  FillValue(new_value, sizeof new_value, 5, kB);
  for (size_t cut = 1; cut < sizeof old_value; ++cut) {
    std::byte mixed[300];
    for (size_t i = 0; i < sizeof mixed; ++i) mixed[i] = i < cut ? new_value[i] : old_value[i];
    // The cut may fall where old and new agree: then it is one of the two, whole.
    const bool whole = std::equal(mixed, mixed + 300, new_value) || std::equal(mixed, mixed + 300, old_value);
    std::string error;
    EXPECT_EQ(ReadValue(mixed, 5, &error) == 0, !whole) << cut;
  }
}

TEST(HistoryTest, ReadsOfWhatIsThereAreFair) {
  EXPECT_EQ(Judge({Write(kA, 10, 20), Saw(kA, 30, 40)}), "");
  EXPECT_EQ(Judge({Write(kA, 10, 20), Write(kB, 15, 25), Saw(kA, 30, 40)}), "") << "they overlap: either may be last";
  EXPECT_EQ(Judge({Write(kA, 10, 20), Write(kB, 30, 50), Saw(kA, 35, 40)}), "");
  EXPECT_EQ(Judge({SawNothing(1, 2)}), "");
  EXPECT_EQ(Judge({Saw(kA, 1, 2)}, kA), "");
}

TEST(HistoryTest, AStaleReadIsFound) {
  EXPECT_NE(Judge({Write(kA, 10, 20), Write(kB, 30, 40), Saw(kA, 50, 60)}), "");
  EXPECT_NE(Judge({Write(kB, 30, 40), Saw(kA, 50, 60)}, kA), "") << "of what was there at first";
  EXPECT_NE(Judge({Write(kA, 10, 20), Delete(30, 40), Saw(kA, 50, 60)}), "") << "deleted";
}

TEST(HistoryTest, AReadOfWhatNobodyWroteIsFound) {
  EXPECT_NE(Judge({Saw(kA, 1, 2)}), "");
  EXPECT_NE(Judge({Write(kA, 10, 20), Saw(kA, 1, 5)}), "") << "before it began";
}

TEST(HistoryTest, ALostWriteIsFound) {
  EXPECT_NE(Judge({Write(kA, 10, 20), SawNothing(30, 40)}), "");
  EXPECT_EQ(Judge({Write(kA, 10, 20), Delete(15, 25), SawNothing(30, 40)}), "");
  EXPECT_EQ(Judge({Write(kA, 10, 20), SawNothing(15, 25)}), "");
  EXPECT_NE(Judge({Delete(10, 20), Write(kA, 30, 40), SawNothing(50, 60)}), "");
}

TEST(HistoryTest, AnInterruptedOperationMayHaveHappenedOrNot) {
  EXPECT_EQ(Judge({Write(kA, 10, 20), Write(kB, 30, 40, false), Saw(kA, 50, 60)}), "");
  EXPECT_EQ(Judge({Write(kA, 10, 20), Write(kB, 30, 40, false), Saw(kB, 50, 60)}), "");
  EXPECT_EQ(Judge({Write(kA, 10, 20), Delete(30, 40, false), SawNothing(50, 60)}), "");
  EXPECT_NE(Judge({Write(kA, 10, 20), Write(kB, 30, 40, false), Saw(kB, 50, 60), Saw(kA, 70, 80)}), "")
      << "seen, so it had happened, and then it was taken back";
}

TEST(HistoryTest, HalfABatchIsFound) {
  History history;
  history[1] = {kA, 0, {Write(kB, 30, 40, false), Saw(kB, 50, 60)}};
  history[2] = {kA, 0, {Write(kB, 30, 40, false), Saw(kA, 50, 60)}};
  EXPECT_NE(JudgeHistory(history), "");
  history[2].events.back() = Saw(kB, 50, 60);
  EXPECT_EQ(JudgeHistory(history), "");
}

TEST(HistoryTest, VersionsAgreeWithTime) {
  EXPECT_EQ(Judge({Write(kA, 10, 20, true, 1), Write(kB, 30, 40, true, 2)}), "");
  EXPECT_NE(Judge({Write(kA, 10, 20, true, 2), Write(kB, 30, 40, true, 1)}), "");
  EXPECT_NE(Judge({Write(kA, 10, 20, true, 2), Write(kB, 15, 40, true, 2)}), "");
}

TEST(HistoryTest, ALostUpdateIsFound) {
  KeyEvent replaces = Write(kB, 30, 40, true, 5);
  replaces.expected = 3;
  EXPECT_EQ(Judge({Write(kA, 10, 20, true, 3), replaces}), "");
  EXPECT_NE(Judge({Write(kA, 10, 35, true, 4), replaces}), "") << "version 4 came between";
}

}  // namespace
}  // namespace lightning::faults
