// Rule 4: the number of log entries of any transaction is bounded, and the log has room for it. Measured: the log area
// of a fresh segment is zero, and nobody clears an entry, so the highest one that was ever written is still there.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "store/client/core.h"
#include "store/testing/testing.h"

namespace lightning {
namespace {

using test::MemorySegment;
using test::Numbered;
using test::SmallOptions;
using test::World;

// The sums that the transactions' code declares (put.cc asserts them against kLogCapacity).
constexpr uint32_t kBuild = 1 + 3 + 6 + kKeyWords;  // id, block, fields, key
constexpr uint32_t kPublish = 2 + 1 + 3 + index::kInsertEntries + 1 + Retired::kAddEntries + 1;
constexpr uint32_t kDrain = 8 * (3 + kReleaseEntries) + 2;
constexpr uint32_t kGiveBlocks = 2 * Caches::kRefill * BlockHeap::kFreeEntries + 2 * kBlockCache + 1;
constexpr uint32_t kGiveBack = kGiveBlocks + 2 * Caches::kRefill * 3 + 1 + 2;
constexpr uint32_t kRefillAll =
    kGiveBlocks + Caches::kRefill * (BlockHeap::kAllocateEntries + 3) + Caches::kRefill * (2 + 2) + 2;

static_assert(kMaxBatchSize * kPublish <= kLogCapacity);
static_assert(kDrain <= kLogCapacity);
static_assert(kGiveBack <= kLogCapacity);
static_assert(kRefillAll <= kLogCapacity);

class LogBoundTest : public testing::Test {
 protected:
  static Options Larger() {
    Options options = SmallOptions();
    options.size = 16 << 20;
    options.max_objects = 2000;
    options.max_clients = 2;
    return options;
  }
  // Entries that slot 0's largest transaction so far has written.
  uint32_t HighWater() const {
    const Slot& slot = memory_.segment().slot(0);
    uint32_t used = kLogCapacity;
    while (used > 0 && slot.log[used - 1].offset.Load() == 0) --used;
    return used;
  }
  // Puts of many sizes and deletes in a scattered order, so that blocks are split and merged and caches run over.
  void Churn(uint32_t rounds) {
    uint32_t random = 1;
    for (uint32_t i = 0; i < rounds; ++i) {
      random = random * 1664525 + 1013904223;
      const std::string key = Numbered("churn", random >> 8 & 511);
      if ((random >> 30) == 0) {
        static_cast<void>(client_.Delete(key).ok());
      } else {
        ASSERT_TRUE(client_.Put(key, std::string(random >> 20 & 4095, 'v')).ok());
      }
    }
  }

  World world_;
  const MemorySegment memory_{Larger()};
  Client client_ = std::move(*memory_.Attach(world_));
};

TEST_F(LogBoundTest, APutStaysWithinItsRefill) {
  ASSERT_TRUE(client_.Put(std::string(kInlineKey, 'k'), std::string(1000, 'v')).ok());
  EXPECT_GT(HighWater(), 20u);
  EXPECT_LE(HighWater(), kRefillAll);
}

TEST_F(LogBoundTest, AnInsertWithEverythingAtHandStaysWithinBuildAndPublish) {
  const Result<Subscription> subscription = client_.Subscribe();
  ASSERT_TRUE(subscription.ok());
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(client_.Put("warm", std::string(100, 'v')).ok());
    ASSERT_TRUE(client_.Delete("warm").ok());
  }
  // From here on: cleared, so that the next transactions alone show.
  const Slot& slot = memory_.segment().slot(0);
  for (const LogEntry& entry : slot.log) test::Poke(entry.offset, 0);
  ASSERT_TRUE(client_.Put(std::string(kInlineKey, 'k'), std::string(100, 'v')).ok());
  ASSERT_TRUE(client_.Put(std::string(kInlineKey, 'k'), std::string(100, 'w')).ok());
  EXPECT_GT(HighWater(), 15u);
  EXPECT_LE(HighWater(), kBuild + kPublish);
}

TEST_F(LogBoundTest, AFullBatchThatInsertsStaysWithinItsBound) {
  const Result<Subscription> subscription = client_.Subscribe();
  ASSERT_TRUE(subscription.ok());
  std::vector<std::string> keys;
  for (uint32_t i = 0; i < kMaxBatchSize; ++i) keys.push_back(Numbered("key", i));
  for (const char* value : {"inserted", "replaced"}) {
    std::vector<BatchItem> items;
    for (const std::string& key : keys) items.push_back({key, AsBytes(value), {}});
    ASSERT_TRUE(client_.PutBatch(items).ok());
    EXPECT_GT(HighWater(), 6 * kMaxBatchSize) << value;
    EXPECT_LE(HighWater(), kPublish * kMaxBatchSize) << value;
  }
}

// All keys in one chain: each eighth insert takes an overflow bucket.
TEST_F(LogBoundTest, AFullBatchInOneChainStaysWithinItsBound) {
  const std::vector<std::string> keys = test::CollidingKeys(memory_.segment(), kMaxBatchSize);
  std::vector<BatchItem> items;
  for (const std::string& key : keys) items.push_back({key, AsBytes("value"), {}});
  ASSERT_TRUE(client_.PutBatch(items).ok());
  EXPECT_LE(HighWater(), kPublish * kMaxBatchSize);
  ASSERT_TRUE(client_.Delete(keys[7]).ok());
}

TEST_F(LogBoundTest, DrainsRefillsAndGivingBackStayWithinTheirBounds) {
  Churn(20'000);
  const uint32_t bound = std::max({kDrain, kGiveBack, kRefillAll});
  EXPECT_GT(HighWater(), 60u);
  EXPECT_LE(HighWater(), bound);
}

TEST_F(LogBoundTest, EvictionAndRecoveryStayWithinTheirBounds) {
  Churn(2000);
  ASSERT_TRUE(client_.Evict(~uint64_t{0}).ok());
  Churn(2000);
  ASSERT_TRUE(client_.Recover().ok());
  Churn(2000);
  client_.Close();  // gives all back
  EXPECT_LE(HighWater(), std::max({kDrain, kGiveBack, kRefillAll}));
  EXPECT_EQ(test::Violations(memory_.Check(world_)), "");
}

TEST_F(LogBoundTest, LargeObjectsOnPagesStayWithinTheirBound) {
  for (uint32_t i = 0; i < 30; ++i) {
    ASSERT_TRUE(client_.Put(Numbered("small", i), std::string(100 + i * 64, 'v')).ok());
    Result<Writer> writer = client_.Create(Numbered("large", i), 66'000 + 1000 * i);
    ASSERT_TRUE(writer.ok());
    ASSERT_TRUE(writer->Seal().ok());
    if (i % 3 == 2) {
      ASSERT_TRUE(client_.Delete(Numbered("large", i - 1)).ok());
    }
  }
  EXPECT_LE(HighWater(), kRefillAll);
}

}  // namespace
}  // namespace lightning
