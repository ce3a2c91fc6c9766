// Check reports what is wrong: each invariant (the numbers of invariants.h) is broken on purpose and must be noticed.
#include "store/client/invariants.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "store/client/check.h"
#include "store/log/words.h"
#include "store/testing/operations.h"

namespace lightning {
namespace {

using test::MemorySegment;
using test::Poke;
using test::World;

// A segment with sealed, unsealed, retired, pinned and cached things in it, and nobody inside an operation.
class InvariantsTest : public testing::Test {
 protected:
  InvariantsTest() {
    Client& client = stage_.client;
    for (const std::string& key : test::CollidingKeys(segment_, kBucketEntries + 3))
      LIGHTNING_ASSERT(client.Put(key, std::string(100, 'v')).ok());
    LIGHTNING_ASSERT(client.Put(std::string(200, 'k'), std::string(9000, 'v')).ok());
    stage_.handle.emplace(std::move(*client.Get(std::string(200, 'k'))));
    LIGHTNING_ASSERT(client.Delete(std::string(200, 'k')).ok());
    stage_.writer.emplace(std::move(*client.Create("unsealed", 10)));
    stage_.subscription.emplace(std::move(*client.Subscribe()));
    LIGHTNING_ASSERT(client.Put("a", "1").ok() && client.Delete("a").ok());
    LIGHTNING_ASSERT(test::Violations(Check()) == "");
  }
  CheckReport Check() const { return stage_.memory.Check(stage_.world); }

  // Expects a violation that says `what` while the word has another value.
  void ExpectNoticed(const internal::Word& word, uint64_t value, const std::string& what) {
    const uint64_t sound = word.Load();
    ASSERT_NE(sound, value) << what;
    Poke(word, value);
    const std::string said = test::Violations(Check());
    EXPECT_NE(said.find(what), std::string::npos) << "instead: " << said;
    Poke(word, sound);
    EXPECT_EQ(test::Violations(Check()), "");
  }
  template <typename Word>
  void ExpectNoticedWhenRaised(const Word& word, const std::string& what) {
    ExpectNoticed(word, word.Load() + 1, what);
  }

  test::Stage stage_{test::StageOptions()};
  const Segment segment_ = stage_.memory.segment();
  const Central& central_ = segment_.central();
  const Slot& slot_ = segment_.slot(0);
  const Bucket& home_ = segment_.home_at(0);
};

TEST_F(InvariantsTest, I1ALockThatNobodyHoldsIsFree) {
  ExpectNoticed(central_.lock, LockValue::Owner(0, 1), "central lock");
  ExpectNoticed(central_.event_lock, LockValue::Owner(0, 1), "event lock");
  ExpectNoticed(home_.lock, LockValue::Owner(0, 1), "lock of bucket 0");
  ExpectNoticed(slot_.lock, LockValue::Owner(0, 1), "lock of client slot 0");
}

TEST_F(InvariantsTest, I2BlocksTileTheHeap) {
  const Block& first = segment_.block(BlockId{1});
  ExpectNoticedWhenRaised(first.extent, "begin where the one before ends");
  ExpectNoticed(first.neighbours, Pack(0, 0), "end before the heap does");
  ExpectNoticed(first.neighbours, Pack(0, 1), "which cannot be");
  ExpectNoticed(first.neighbours, Pack(7, Low(first.neighbours.Load())), "does not know the block before");
  ExpectNoticed(first.state, 9, "has no state");
  ExpectNoticedWhenRaised(central_.free_granules, "count of free granules");
}

TEST_F(InvariantsTest, I3FreeBlocksAreInTheirBins) {
  uint32_t bin = kBins;
  while (Low(central_.bins[--bin].Load()) == 0) continue;
  ExpectNoticed(central_.bins[bin], 0, "bitmap is wrong about bin");
  ExpectNoticed(central_.bins[bin - 1], central_.bins[bin].Load(), "is in the wrong bin");
  ExpectNoticed(central_.second_level[bin / kSecondLevel], 0, "bitmap is wrong");
  ExpectNoticed(central_.first_level, 0, "first-level bitmap");
  const Cell& second_level = central_.second_level[bin / kSecondLevel];
  ExpectNoticed(second_level, second_level.Load() | uint64_t{1} << kSecondLevel, "bins that there are not");
  const uint64_t first_level = central_.first_level.Load();
  ExpectNoticed(central_.first_level, first_level | uint64_t{1} << kFirstLevel, "bins that there are not");
}

TEST_F(InvariantsTest, I4EntriesStandInTheirChains) {
  const uint64_t entry = home_.entry(1).Load();
  ExpectNoticed(home_.entry(1), 0, "not compact");
  ExpectNoticed(home_.entry(1), home_.entry(0).Load(), "two owners");
  ExpectNoticed(home_.entry(1), entry ^ uint64_t{1} << 40, "under a key that is not its own");
  ExpectNoticed(home_.entry(1), entry | kEntryUnsealed, "not in the state that the index says");
  ExpectNoticed(segment_.home_at(1).entry(0), entry, "under a key that is not its own");
  ExpectNoticedWhenRaised(home_.places(0), "wrong about where the value");
  ExpectNoticed(home_.entry(1), entry ^ uint64_t{1} << 33, "wrong about where the value");
  ExpectNoticed(home_.versions, 0, "version from the future");
  const Object& object = segment_.object(EntryObject(entry));
  ExpectNoticed(object.version, 0, "sealed without a version");
  ExpectNoticed(object.size, ~uint64_t{0}, "sizes that cannot be");
  ExpectNoticed(object.payload, object.payload.Load() + 64, "does not begin where its block does");
  ExpectNoticed(home_.next, segment_.geometry().overflow_buckets + 1, "leads nowhere");
}

TEST_F(InvariantsTest, I4AKeyStandsInItsChainOnce) {
  const Object& first = segment_.object(EntryObject(home_.entry(0).Load()));
  const Object& second = segment_.object(EntryObject(home_.entry(1).Load()));
  for (uint32_t i = 0; i < kKeyWords; ++i) Poke(second.key[i], first.key[i].Load());
  Poke(second.head, first.head.Load());
  EXPECT_NE(test::Violations(Check()).find("bucket 0 has a key twice"), std::string::npos);
}

TEST_F(InvariantsTest, I5WhatClientsKeepIsAccountedFor) {
  ExpectNoticed(slot_.id_count, kIdCache + 1, "more than it has room for");
  ExpectNoticed(slot_.id_count, slot_.id_count.Load() - 1, "is lost");
  ExpectNoticed(slot_.block_count, slot_.block_count.Load() - 1, "used by nobody");
  ExpectNoticed(slot_.retired_head, 0, "not as long as its count says");
  ExpectNoticedWhenRaised(slot_.retired_bytes, "does not have as many bytes");
  ExpectNoticed(slot_.unsealed_head, 0, "unsealed and nobody's");
  // An upper half that nobody reads would stay behind when the slot is free.
  ExpectNoticed(slot_.unsealed_head, slot_.unsealed_head.Load() | uint64_t{1} << 60, "is no object");
  ExpectNoticed(slot_.retired_head, slot_.retired_head.Load() | uint64_t{1} << 60, "is no object");
  ExpectNoticedWhenRaised(slot_.subscriptions, "count of subscribers");
  ExpectNoticedWhenRaised(segment_.slot(2).credits, "free and still has something");
  ExpectNoticed(central_.slots_used, 0, "in use and was never counted");
}

TEST_F(InvariantsTest, I6PoolsAreComplete) {
  ExpectNoticedWhenRaised(central_.object_free_count, "count of free objects");
  ExpectNoticedWhenRaised(central_.block_unused, "block descriptor is lost");
  ExpectNoticed(central_.block_unused, ~uint64_t{0}, "used more than it has");
  ExpectNoticedWhenRaised(central_.overflow_unused, "overflow bucket is lost");
  ExpectNoticedWhenRaised(central_.orphan_count, "orphans is not as long");
}

TEST_F(InvariantsTest, I7CreditsAreWhatIsLeftOfMaxObjects) {
  ExpectNoticedWhenRaised(central_.credits, "do not make max_objects");
  ExpectNoticedWhenRaised(slot_.credits, "do not make max_objects");
}

// --- Check as a whole

TEST_F(InvariantsTest, AClientThatDiedInsideAnOperationIsAViolation) {
  Poke(slot_.activity, slot_.activity.Load() | 1);
  stage_.world.dead[0] = true;
  EXPECT_NE(test::Violations(Check()).find("died inside an operation"), std::string::npos);
  stage_.world.dead[0] = false;
  const CheckReport report = Check();
  EXPECT_TRUE(report.busy) << "a living one may be at it";
  EXPECT_FALSE(report.ok);
  EXPECT_TRUE(report.violations.empty());
  Poke(slot_.activity, slot_.activity.Load() + 1);
  EXPECT_EQ(test::Violations(Check()), "");
}

TEST_F(InvariantsTest, WithoutAnybodyToTellAllCountAsLiving) {
  Poke(slot_.activity, slot_.activity.Load() | 1);
  stage_.world.dead[0] = true;
  EXPECT_TRUE(CheckSegment(segment_).busy);
  Poke(slot_.activity, slot_.activity.Load() + 1);
}

TEST_F(InvariantsTest, ManyViolationsAreCutShort) {
  for (uint32_t i = 0; i < segment_.geometry().home_buckets; ++i) {
    for (uint32_t k = 0; k < kBucketEntries; ++k)
      Poke(segment_.home_at(i).entry(k), MakeEntry(ObjectId{77'777}, 1, 8, false));
  }
  const CheckReport report = Check();
  EXPECT_FALSE(report.ok);
  EXPECT_LE(report.violations.size(), 50u);
  // The stage's own things can no longer be given back.
  test::Abandon(std::move(*stage_.writer));
  test::Abandon(std::move(*stage_.handle));
  test::Abandon(std::move(*stage_.subscription));
  test::Abandon(std::move(stage_.client));
}

}  // namespace
}  // namespace lightning
