#include "faults/check/linear_history.h"

#include <gtest/gtest.h>

namespace lightning::faults {
namespace {

KeyEvent Event(Did did, WriteId write, uint64_t begin, uint64_t end, uint32_t writer) {
  KeyEvent event;
  event.did = did;
  event.completed = true;
  event.begin = begin;
  event.end = end;
  event.write = write;
  event.writer = writer;
  return event;
}

std::string Judge(const KeyHistory& key) { return JudgeLinearizable({{0, key}}, {.states = 1'000'000}).error; }

TEST(LinearHistoryTest, OverlappingWritesMayBeSeenInEitherOrder) {
  KeyHistory key;
  key.events = {Event(Did::kWrite, 1, 10, 90, 1), Event(Did::kWrite, 2, 10, 90, 2), Event(Did::kSaw, 2, 20, 25, 3),
                Event(Did::kSaw, 1, 30, 35, 3)};
  EXPECT_EQ(Judge(key), "");
}

TEST(LinearHistoryTest, TwoReadersThatSawTwoOrdersAreFound) {
  // No look alone is wrong: each write is under way all the time.
  KeyHistory key;
  key.events = {Event(Did::kWrite, 1, 10, 90, 1), Event(Did::kWrite, 2, 10, 90, 2), Event(Did::kSaw, 2, 20, 25, 3),
                Event(Did::kSaw, 1, 30, 35, 3),   Event(Did::kSaw, 1, 20, 25, 4),   Event(Did::kSaw, 2, 40, 45, 4)};
  EXPECT_EQ(JudgeHistory({{0, key}}), "");
  EXPECT_NE(Judge(key), "");
}

TEST(LinearHistoryTest, AnInterruptedChangeHappenedBeforeTheDeathOrNever) {
  KeyHistory key;
  key.first = 7;
  key.events = {Event(Did::kWrite, 1, 10, 20, 1), Event(Did::kSaw, 7, 30, 35, 2)};
  EXPECT_NE(Judge(key), "") << "a completed write that is not there";
  key.events[0].completed = false;
  EXPECT_EQ(Judge(key), "") << "it never happened";
  key.events[1].write = 1;
  EXPECT_EQ(Judge(key), "") << "it did";
  key.events.push_back(Event(Did::kSaw, 7, 40, 45, 2));
  EXPECT_NE(Judge(key), "") << "and was undone after somebody had seen it";
  key.events = {Event(Did::kWrite, 1, 10, 20, 1), Event(Did::kSaw, 7, 30, 35, 2), Event(Did::kSaw, 1, 40, 45, 2)};
  key.events[0].completed = false;
  EXPECT_NE(Judge(key), "") << "it happened after the death";
}

TEST(LinearHistoryTest, ALostUpdateIsFound) {
  KeyHistory key;
  key.first = 7;
  key.first_version = 3;
  key.events = {Event(Did::kWrite, 1, 10, 20, 1), Event(Did::kWrite, 2, 30, 40, 2)};
  key.events[1].expected = 3;
  EXPECT_NE(Judge(key), "");
  key.events[0].completed = false;
  EXPECT_EQ(Judge(key), "") << "the other write never happened";
}

TEST(LinearHistoryTest, WhatCannotBeDecidedIsNoPass) {
  KeyHistory key;
  for (uint32_t i = 1; i <= 12; ++i) key.events.push_back(Event(Did::kWrite, i, 10, 1000, i));
  for (uint32_t i = 1; i <= 12; ++i) key.events.push_back(Event(Did::kSaw, i, 20 * i, 20 * i + 5, 13));
  EXPECT_EQ(Judge(key), "");
  const std::string error = JudgeLinearizable({{0, key}}, {.states = 1}).error;
  EXPECT_NE(error.find("could not be decided"), std::string::npos) << error;
}

}  // namespace
}  // namespace lightning::faults
