#include "store/index/index.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "store/testing/with_transaction.h"

namespace lightning {
namespace {

// Entries of the chain of home bucket 0, made of object ids alone: no heap, no client.
class IndexTest : public test::WithTransaction {
 protected:
  IndexTest() { LIGHTNING_ASSERT(t_.Lock(home().lock).ok()); }
  const Bucket& home() const { return segment().home_at(0); }
  uint64_t overflow_in_use() const {
    uint64_t free = 0;
    for (BucketId id{Low(segment().central().overflow_free_list.Load())}; id;
         id = BucketId{Low(segment().overflow(id).next.Load())})
      ++free;
    return segment().central().overflow_unused.Load() - free;
  }
  // The object ids of the chain, in order.
  std::vector<uint32_t> Chain() const {
    std::vector<uint32_t> ids;
    index::ForEach(segment(), home(), [&](const Place& place) {
      ids.push_back(place.object().value);
      return true;
    });
    return ids;
  }
  // No free entry before a used one, and no empty bucket at the end.
  bool Compact() const {
    bool gap = false;
    for (const Bucket* bucket = &home();;) {
      if (bucket != &home() && bucket->entry(0).Load() == 0) return false;
      for (uint32_t i = 0; i < kBucketEntries; ++i) {
        if (bucket->entry(i).Load() != 0 && gap) return false;
        gap |= bucket->entry(i).Load() == 0;
      }
      const BucketId next{Low(bucket->next.Load())};
      if (!next) return true;
      bucket = &segment().overflow(next);
    }
  }
  static uint32_t Granule(uint32_t id) { return 0x8000'0000 + 3 * id; }
  // Whether each entry has the place that it was inserted with.
  bool PlacesAreRight() const {
    bool right = true;
    index::ForEach(segment(), home(), [&](const Place& place) {
      right &= place.value() == Granule(place.object().value);
      return true;
    });
    return right;
  }
  uint64_t Entries() const { return actor_.slot().log_count.Load(); }
  void Insert(uint32_t id) {
    const uint64_t before = Entries();
    ASSERT_TRUE(index::Insert(t_, home(), MakeEntry(ObjectId{id}, id, 8, false), Granule(id)).ok());
    most_insert_ = std::max(most_insert_, Entries() - before);
    t_.Commit(1);
  }
  void Remove(uint32_t id) {
    const Place place = index::FindObject(segment(), home(), ObjectId{id});
    ASSERT_TRUE(place) << id;
    const uint64_t before = Entries();
    ASSERT_TRUE(index::Remove(t_, home(), place).ok());
    most_remove_ = std::max(most_remove_, Entries() - before);
    t_.Commit(1);
  }

  uint64_t most_insert_ = 0, most_remove_ = 0;
};

TEST_F(IndexTest, AChainGrowsByABucketWhenItIsFullAndShrinksAgain) {
  for (uint32_t i = 1; i <= 26; ++i) {
    Insert(i);
    EXPECT_EQ(overflow_in_use(), (i - 1) / kBucketEntries) << i;
  }
  for (uint32_t i = 26; i >= 1; --i) {
    Remove(i);
    EXPECT_TRUE(Compact());
    EXPECT_EQ(overflow_in_use(), i == 1 ? 0 : (i - 2) / kBucketEntries) << i;
  }
}

// Compactness is what bounds the overflow buckets: one to eight objects is enough for any distribution of keys.
TEST_F(IndexTest, AllObjectsInOneChainFit) {
  for (uint32_t i = 1; i <= memory_.geometry().max_objects; ++i) Insert(i);
  EXPECT_TRUE(Compact());
  EXPECT_EQ(Chain().size(), memory_.geometry().max_objects);
}

TEST_F(IndexTest, ChainsStayCompactAndCompleteUnderRandomChanges) {
  std::mt19937 random(1);
  std::vector<uint32_t> present, absent(40);
  std::iota(absent.begin(), absent.end(), 1);
  const auto move_one = [&random](std::vector<uint32_t>& from, std::vector<uint32_t>& to) {
    std::swap(from[random() % from.size()], from.back());
    to.push_back(from.back());
    from.pop_back();
    return to.back();
  };
  for (int step = 0; step < 5000; ++step) {
    if (present.empty() || (!absent.empty() && random() % 2 == 0)) {
      Insert(move_one(absent, present));
    } else {
      Remove(move_one(present, absent));
    }
    ASSERT_TRUE(Compact()) << step;
    ASSERT_TRUE(PlacesAreRight()) << step;
    std::vector<uint32_t> chain = Chain(), expected = present;
    std::sort(chain.begin(), chain.end());
    std::sort(expected.begin(), expected.end());
    ASSERT_EQ(chain, expected) << step;
  }
  EXPECT_LE(most_insert_, index::kInsertEntries) << "rule 4";
  EXPECT_LE(most_remove_, index::kRemoveEntries) << "rule 4";
}

TEST_F(IndexTest, WhatIsNotCommittedIsUndone) {
  for (uint32_t i = 1; i <= 2 * kBucketEntries + 1; ++i) Insert(i);
  const std::vector<uint32_t> before = Chain();
  ASSERT_TRUE(index::Remove(t_, home(), index::FindObject(segment(), home(), ObjectId{2})).ok());
  ASSERT_TRUE(index::Remove(t_, home(), index::FindObject(segment(), home(), ObjectId{5})).ok());
  ASSERT_TRUE(index::Insert(t_, home(), MakeEntry(ObjectId{30}, 30, 8, false), Granule(30)).ok());
  EXPECT_NE(Chain(), before);
  t_.Rollback(1);
  EXPECT_EQ(Chain(), before);
  EXPECT_TRUE(PlacesAreRight());
  EXPECT_EQ(overflow_in_use(), 2u);
}

TEST_F(IndexTest, AWalkThroughATornChainEnds) {
  for (uint32_t i = 1; i <= 3 * kBucketEntries + 1; ++i) Insert(i);
  // As a reader may see it while others change it: a cycle.
  const BucketId second{Low(home().next.Load())};
  const Bucket& last = segment().overflow(BucketId{Low(segment().overflow(second).next.Load())});
  t_.Set(last.next, second.value);
  uint64_t visits = 0;
  index::ForEach(segment(), home(), [&](const Place&) {
    ++visits;
    return true;
  });
  EXPECT_LE(visits, uint64_t{kBucketEntries} * (memory_.geometry().overflow_buckets + 1));
  t_.Set(last.next, memory_.geometry().overflow_buckets + 1);  // and an id that is none
  visits = 0;
  index::ForEach(segment(), home(), [&](const Place&) { return ++visits != 0; });
  EXPECT_EQ(visits, 3 * kBucketEntries) << "up to there";
  t_.Rollback(1);
}

// A version names one value of one key for ever; so they rise, whatever is deleted between.
TEST_F(IndexTest, VersionsOfAChainOnlyRise) {
  uint64_t last = 0;
  for (int i = 0; i < 100; ++i) {
    const uint64_t version = index::NextVersion(t_, home());
    EXPECT_GT(version, last);
    last = version;
    t_.Commit(1);
    index::NextVersion(t_, home());
    t_.Rollback(1);  // one that was never given to anybody may come again
    EXPECT_EQ(home().versions.Load(), last);
  }
}

}  // namespace
}  // namespace lightning
