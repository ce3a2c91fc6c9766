#include "faults/model/model.h"

#include <gtest/gtest.h>

#include "faults/model/operation.h"

namespace lightning::faults {
namespace {

ModelLimits Limits() { return {.heap_bytes = 1 << 20, .max_objects = 16, .event_slots = 8, .evicts = true}; }

TEST(PatternTest, EveryByteFollowsFromTheTag) {
  const std::string bytes = Pattern(1001, 42);
  EXPECT_TRUE(MatchesPattern(AsBytes(bytes), 42));
  EXPECT_FALSE(MatchesPattern(AsBytes(bytes), 43));
  for (const size_t at : {size_t{0}, size_t{7}, size_t{500}, size_t{1000}}) {
    std::string torn = bytes;
    torn[at] = static_cast<char>(torn[at] ^ 1);
    EXPECT_FALSE(MatchesPattern(AsBytes(torn), 42)) << at;
  }
  // A prefix is a value of its own, so sizes are compared separately.
  EXPECT_TRUE(MatchesPattern(AsBytes(bytes).first(100), 42));
}

TEST(HeapBytesTest, RoundsToGranulesAndPages) {
  EXPECT_EQ(HeapBytes("k", {1, 0, 0, false}), 0u);
  EXPECT_EQ(HeapBytes("k", {1, 1, 0, false}), 64u);
  EXPECT_EQ(HeapBytes("k", {1, 64, 1, false}), 128u);
  EXPECT_EQ(HeapBytes(std::string(72, 'k'), {1, 0, 0, false}), 0u);
  EXPECT_EQ(HeapBytes(std::string(73, 'k'), {1, 0, 0, false}), 128u);
  EXPECT_EQ(HeapBytes("k", {1, 65'537, 0, true}), 69'632u);
}

TEST(ModelTest, AccountsFollowTheContent) {
  Model model(Limits());
  model.Put(1, "a", {7, 100, 0, false}, 1);
  model.Put(1, "b", {8, 10, 0, false}, 1);
  EXPECT_EQ(model.objects(), 2u);
  EXPECT_EQ(model.bytes_used(), 192u);
  const ObjectPtr pinned = model.Sealed("a");
  model.Pin(pinned);
  model.Put(1, "a", {9, 1, 0, false}, 2);
  EXPECT_EQ(model.bytes_used(), 128u);
  EXPECT_EQ(model.bytes_pinned_only(), 128u);
  model.Unpin(pinned);
  EXPECT_EQ(model.bytes_pinned_only(), 0u);
  model.Delete("a");
  model.Delete("b");
  EXPECT_EQ(model.objects(), 0u);
  EXPECT_EQ(model.bytes_used(), 0u);
}

TEST(ModelTest, VersionsOfAKeyStrictlyRise) {
  Model model(Limits());
  model.Put(1, "a", {}, 5);
  EXPECT_EQ(model.CheckVersion("a", 6), "");
  EXPECT_NE(model.CheckVersion("a", 5), "");
  model.Delete("a");
  EXPECT_NE(model.CheckVersion("a", 5), "") << "also after a delete";
  EXPECT_EQ(model.CheckVersion("b", 1), "");
}

TEST(ModelTest, EvictsTheLeastRecentlyUsedThatNobodyPins) {
  Model model(Limits());
  for (const char* key : {"a", "b", "c"}) model.Put(1, key, {1, 64, 0, false}, 1);
  model.Use(2, model.Sealed("a"));
  model.Pin(model.Sealed("b"));
  std::vector<std::string> keys;
  EXPECT_EQ(model.PlanEviction(100, &keys), 128u);
  EXPECT_EQ(keys, (std::vector<std::string>{"c", "a"}));
  // What a client used is forgotten when it leaves.
  model.Forget(2);
  keys.clear();
  model.PlanEviction(1, &keys);
  EXPECT_EQ(keys, std::vector<std::string>{"a"});
}

TEST(ModelTest, WhatADeadClientHadNotSealedIsGone) {
  Model model(Limits());
  model.Create(1, "mine", {1, 64, 0, false});
  model.Create(2, "other", {1, 64, 0, false});
  model.Forget(1);
  EXPECT_EQ(model.Unsealed("mine"), nullptr);
  EXPECT_NE(model.Unsealed("other"), nullptr);
  EXPECT_EQ(model.bytes_used(), 64u);
}

TEST(ModelTest, EventsOnlyForListeners) {
  Model model(Limits());
  model.Put(1, "a", {}, 1);
  EXPECT_EQ(model.event_head(), 0u);
  model.set_subscribers(1);
  model.Put(1, "a", {}, 2);
  model.Delete("a");
  ASSERT_EQ(model.event_head(), 2u);
  EXPECT_EQ(model.event(0).kind, EventKind::kSealed);
  EXPECT_EQ(model.event(1).kind, EventKind::kDeleted);
  EXPECT_EQ(model.event(1).version, 2u);
}

TEST(SequenceTest, FollowsFromTheSeedAlone) {
  auto text = [](uint64_t seed) {
    Random random(seed);
    const std::vector<std::string> keys = MakeKeys(random, 30);
    std::string all;
    for (const Operation& operation : MakeSequence(random, {3, 4096, true}, 30, 500)) {
      all += Show(operation, keys);
      all += std::to_string(operation.tag ^ operation.choice);
    }
    return all;
  };
  EXPECT_EQ(text(1), text(1));
  EXPECT_NE(text(1), text(2));
}

TEST(SequenceTest, HasEveryOperation) {
  Random random(3);
  std::vector<int> seen(kOps);
  for (const Operation& operation : MakeSequence(random, {2, 4096, true}, 20, 20'000))
    ++seen[static_cast<size_t>(operation.op)];
  for (uint32_t op = 0; op < kOps; ++op) EXPECT_GT(seen[op], 0) << OpName(static_cast<Op>(op));
}

}  // namespace
}  // namespace lightning::faults
