// What PutBatch promises, in every mode.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "lightning/lightning.h"
#include "store/testing/conformance.h"

namespace lightning {
namespace {

using test::Content;
using test::Value;

class BatchTest : public test::Conformance {
 protected:
  // `count` keys with a prefix, all with one value.
  struct Batch {
    Batch(const std::string& prefix, size_t count, const std::string& value) : value_(value) {
      for (size_t i = 0; i < count; ++i) keys_.push_back(prefix + std::to_string(i));
      for (const std::string& key : keys_) items.push_back({key, AsBytes(value_), AsBytes(key)});
    }
    Batch(const Batch&) = delete;
    Batch& operator=(const Batch&) = delete;
    std::string value_;
    std::vector<std::string> keys_;
    std::vector<BatchItem> items;
  };
};
LIGHTNING_IN_ALL_MODES(BatchTest);

TEST_P(BatchTest, AllKeysArePutWithTheirMetadata) {
  Client client = Connect();
  ASSERT_TRUE(client.Put("k1", "old").ok());
  const Batch batch("k", 20, "value");
  const Result<std::vector<uint64_t>> versions = client.PutBatch(batch.items);
  ASSERT_TRUE(versions.ok());
  ASSERT_EQ(versions->size(), 20u);
  for (size_t i = 0; i < 20; ++i) {
    const Result<Handle> handle = client.Get(batch.keys_[i]);
    ASSERT_TRUE(handle.ok());
    EXPECT_EQ(handle->view(), "value");
    EXPECT_EQ(handle->version(), (*versions)[i]);
    EXPECT_EQ(handle->metadata().size(), batch.keys_[i].size());
  }
  EXPECT_EQ(StatsOf(client).objects, 20u);
}

TEST_P(BatchTest, ItHasUpTo64Keys) {
  Client client = Connect();
  const Batch most("k", kMaxBatchSize, "v"), too_many("l", kMaxBatchSize + 1, "v");
  EXPECT_TRUE(client.PutBatch(most.items).ok());
  EXPECT_EQ(client.PutBatch(too_many.items).code(), Code::kInvalidArgument);
  EXPECT_EQ(Content(client).size(), kMaxBatchSize);
  EXPECT_TRUE(client.PutBatch(most.items).ok()) << "replacing all, with the object table full";
  const Result<std::vector<uint64_t>> none = client.PutBatch({});
  ASSERT_TRUE(none.ok());
  EXPECT_TRUE(none->empty());
}

TEST_P(BatchTest, WhatIsWrongWithOneItemLeavesNothing) {
  Client client = Connect();
  const Stats before = StatsOf(client);
  const std::string huge(2 << 20, 'v'), metadata(kMaxMetadataSize + 1, 'm');
  const auto refused = [&](BatchItem item) {
    const BatchItem items[] = {{"first", AsBytes("1"), {}}, item, {"last", AsBytes("3"), {}}};
    const Code code = client.PutBatch(items).code();
    EXPECT_EQ(Content(client).size(), 0u);
    EXPECT_EQ(StatsOf(client).bytes_free, before.bytes_free);
    return code;
  };
  EXPECT_EQ(refused({"", AsBytes("2"), {}}), Code::kInvalidKey);
  EXPECT_EQ(refused({"first", AsBytes("2"), {}}), Code::kInvalidArgument) << "a key twice";
  EXPECT_EQ(refused({"key", AsBytes(huge), {}}), Code::kValueTooLarge);
  EXPECT_EQ(refused({"key", AsBytes("2"), AsBytes(metadata)}), Code::kMetadataTooLarge);
}

TEST_P(BatchTest, WithoutRoomForAllNothingIsPut) {
  Client client = Connect();
  ASSERT_TRUE(client.Put("a0", "old").ok());
  const Stats before = StatsOf(client);
  const Batch batch("a", 10, std::string(before.bytes_free / 9, 'v'));
  EXPECT_EQ(client.PutBatch(batch.items).code(), Code::kSegmentFull);
  EXPECT_EQ(Content(client), (std::map<std::string, std::string>{{"a0", "old"}}));
  const Stats after = StatsOf(client);
  EXPECT_EQ(after.bytes_free, before.bytes_free);
  EXPECT_EQ(after.bytes_used, before.bytes_used);
}

TEST_P(BatchTest, WithTooFewObjectsLeftNothingIsPut) {
  Client client = Connect();
  const Batch some("k", options_.max_objects - 5, "v"), more("m", 6, "v"), exact("n", 5, "v");
  ASSERT_TRUE(client.PutBatch(some.items).ok());
  EXPECT_EQ(client.PutBatch(more.items).code(), Code::kTooManyObjects);
  EXPECT_EQ(StatsOf(client).objects, options_.max_objects - 5);
  EXPECT_TRUE(client.PutBatch(exact.items).ok());
  EXPECT_EQ(StatsOf(client).objects, options_.max_objects);
}

TEST_P(BatchTest, WhatItReplacesStaysReadableForItsReaders) {
  Client client = Connect();
  ASSERT_TRUE(client.Put("k3", "old").ok());
  const Result<Handle> handle = client.Get("k3");
  const Batch batch("k", 8, "new");
  ASSERT_TRUE(client.PutBatch(batch.items).ok());
  EXPECT_EQ(handle->view(), "old");
  EXPECT_EQ(Value(client, "k3"), "new");
}

// Atomic for readers of one key after another: what came later in time is never older.
TEST_P(BatchTest, ReadersNeverSeeAKeyGoBackInTime) {
  options_.lock_timeout = std::chrono::seconds(60);  // who gives up a lock has seen nothing
  Client writer = Connect(), reader = Connect();
  ASSERT_TRUE(writer.PutBatch(Batch("k", 8, "00000000").items).ok());
  std::atomic<bool> started{false}, done{false};
  std::thread thread([&] {
    started = true;
    for (uint32_t i = 1; i < 1000; ++i) {
      char text[9];
      snprintf(text, sizeof text, "%08u", i);
      EXPECT_TRUE(writer.PutBatch(Batch("k", 8, text).items).ok());
    }
    done = true;
  });
  while (!started) std::this_thread::yield();
  std::string last = "00000000";
  uint64_t back = 0;
  for (uint32_t i = 0; !done || i < 1000; ++i) {
    const Result<Handle> handle = reader.Get(test::Numbered("k", i * 5 % 8));
    if (!handle.ok()) {
      ADD_FAILURE() << CodeName(handle.code());
      break;
    }
    back += handle->view() < last;
    last = std::max(last, std::string(handle->view()));
  }
  thread.join();
  EXPECT_EQ(back, 0u);
  EXPECT_EQ(Value(reader, "k0"), "00000999");
}

// Two clients whose batches meet in every order, with chains that grow and shrink, and somebody who listens: the order
// of locks must exclude deadlock, so nobody may run into the lock timeout.
TEST_P(BatchTest, BatchesOfSeveralClientsDoNotDeadlock) {
  options_.max_objects = 60;
  options_.lock_timeout = std::chrono::seconds(5);
  Client listener = Connect();
  const Result<Subscription> subscription = listener.Subscribe();
  ASSERT_TRUE(subscription.ok());
  std::vector<std::thread> threads;
  for (uint32_t id = 0; id < 3; ++id) {
    threads.emplace_back([&, id] {
      Client client = Connect();
      for (uint32_t round = 0; round < 150; ++round) {
        const Batch batch(test::Numbered("k", (round + id) % 2), 20, "value");
        const Code code = client.PutBatch(batch.items).code();
        EXPECT_TRUE(code == Code::kOk || code == Code::kTooManyObjects) << CodeName(code);
        for (size_t i = id; i < batch.keys_.size(); i += 2) {
          const Code deleted = client.Delete(batch.keys_[i]).code();
          EXPECT_TRUE(deleted == Code::kOk || deleted == Code::kNotFound) << CodeName(deleted);
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace lightning
