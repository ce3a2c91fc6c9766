// What Delete and Evict promise, in every mode.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "lightning/lightning.h"
#include "store/testing/conformance.h"

namespace lightning {
namespace {

using test::Content;
using test::Value;

class DeleteTest : public test::Conformance {};
LIGHTNING_IN_ALL_MODES(DeleteTest);

TEST_P(DeleteTest, ItTakesEffectAtOnceForEveryClient) {
  Client client = Connect(), other = Connect();
  ASSERT_TRUE(client.Put("key", "value").ok());
  ASSERT_TRUE(other.Delete("key").ok());
  EXPECT_EQ(Value(client, "key"), "NOT_FOUND");
  EXPECT_FALSE(*client.Contains("key"));
  EXPECT_TRUE(client.List()->empty());
  EXPECT_EQ(client.Delete("key").code(), Code::kNotFound);
  EXPECT_EQ(client.Delete("").code(), Code::kInvalidKey);
  EXPECT_EQ(client.Delete(std::string(kMaxKeySize + 1, 'k')).code(), Code::kInvalidKey);
}

TEST_P(DeleteTest, NothingIsLostOverManyRounds) {
  Client client = Connect(), other = Connect();
  const Stats before = StatsOf(client);
  for (uint32_t round = 0; round < 300; ++round) {
    const std::string key = test::Numbered("key", round % 9);
    ASSERT_TRUE((round % 2 == 0 ? client : other).Put(key, Bytes(round * 37 % 20'000, round)).ok());
    if (round % 3 == 0) {
      ASSERT_TRUE(client.Delete(key).ok());
    }
  }
  for (const auto& [key, value] : Content(client)) ASSERT_TRUE(other.Delete(key).ok());
  ASSERT_TRUE(client.Recover().ok());
  const Stats after = StatsOf(client);
  EXPECT_EQ(after.bytes_free, before.bytes_total);
  EXPECT_EQ(after.largest_free, before.bytes_total) << "one extent again";
  EXPECT_EQ(after.objects, 0u);
  EXPECT_EQ(after.bytes_retired, 0u);
}

TEST_P(DeleteTest, KeysThatShareABucketAreKeptApart) {
  options_.max_objects = 16;  // seven buckets: chains of overflow buckets
  Client client = Connect();
  for (uint32_t round = 0; round < 5; ++round) {
    for (uint32_t i = 0; i < 16; ++i)
      ASSERT_TRUE(client.Put(test::Numbered("key", i), test::Numbered("value", i + round)).ok());
    for (uint32_t i = 0; i < 16; i += 2) ASSERT_TRUE(client.Delete(test::Numbered("key", i)).ok());
    for (uint32_t i = 0; i < 16; ++i)
      EXPECT_EQ(Value(client, test::Numbered("key", i)), i % 2 == 0 ? "NOT_FOUND" : test::Numbered("value", i + round));
  }
}

// Least recently used first: a get refreshes, a put is a use; exact for small sets.
TEST_P(DeleteTest, EvictionTakesTheLeastRecentlyUsedFirst) {
  Client client = Connect(), other = Connect();
  for (const char* key : {"a", "b", "c", "d", "e"}) ASSERT_TRUE(client.Put(key, Bytes(1000, 1)).ok());
  ASSERT_TRUE(other.Get("a").ok());
  ASSERT_TRUE(client.Get("c").ok());
  ASSERT_TRUE(other.Put("b", Bytes(1000, 2)).ok());
  std::string order;  // as they go
  while (order.size() < 5) {
    const Result<uint64_t> freed = client.Evict(1);
    ASSERT_TRUE(freed.ok());
    EXPECT_EQ(*freed, 1024u) << "one at a time";
    for (const char* key : {"a", "b", "c", "d", "e"}) {
      if (!*client.Contains(key) && order.find(key) == std::string::npos) order += key;
    }
  }
  EXPECT_EQ(order, "deacb");
  EXPECT_EQ(*client.Evict(1), 0u) << "nothing is left";
  EXPECT_EQ(StatsOf(client).evictions, 5u);
}

TEST_P(DeleteTest, WhoComesToASlotHasReadNothingYet) {
  Client client = Connect();
  for (const char* key : {"a", "b", "c"}) ASSERT_TRUE(client.Put(key, Bytes(1000, 1)).ok());
  {
    Client before = Connect();
    for (const char* key : {"c", "b", "a"}) ASSERT_TRUE(before.Get(key).ok());
  }
  const Client after = Connect();
  for (const char* key : {"a", "b", "c"}) {
    ASSERT_TRUE(*client.Contains(key));
    ASSERT_TRUE(client.Evict(1).ok());
    EXPECT_FALSE(*client.Contains(key)) << "the order in which they were made";
  }
}

TEST_P(DeleteTest, EvictionFreesAtLeastWhatWasAskedFor) {
  Client client = Connect();
  for (uint32_t i = 0; i < 20; ++i) ASSERT_TRUE(client.Put(test::Numbered("key", i), Bytes(640, i)).ok());
  const uint64_t free = StatsOf(client).bytes_free;
  EXPECT_EQ(*client.Evict(0), 0u);
  EXPECT_EQ(*client.Evict(641), 1280u);
  EXPECT_EQ(StatsOf(client).bytes_free, free + 1280);
  EXPECT_EQ(*client.Evict(~uint64_t{0}), 18 * 640u) << "as much as there is";
  EXPECT_EQ(StatsOf(client).objects, 0u);
}

TEST_P(DeleteTest, PinnedAndUnsealedObjectsAreNotEvicted) {
  Client client = Connect(), other = Connect();
  for (const char* key : {"pinned", "free"}) ASSERT_TRUE(client.Put(key, Bytes(1000, 1)).ok());
  Result<Handle> handle = other.Get("pinned");
  Result<Writer> writer = other.Create("unsealed", 1000);
  ASSERT_TRUE(handle.ok() && writer.ok());
  EXPECT_EQ(*client.Evict(~uint64_t{0}), 1024u);
  EXPECT_TRUE(*client.Contains("pinned"));
  EXPECT_FALSE(*client.Contains("free"));
  EXPECT_TRUE(handle->view() == Bytes(1000, 1));
  ASSERT_TRUE(writer->Seal().ok());
  handle->Release();
  EXPECT_EQ(*client.Evict(~uint64_t{0}), 2048u) << "now both may go";
}

TEST_P(DeleteTest, AFullSegmentWithLruEvictsForWhatComes) {
  options_.eviction = Eviction::kLru;
  Client client = Connect();
  const uint64_t total = StatsOf(client).bytes_total;
  for (uint32_t i = 0; i < 400; ++i) {
    ASSERT_TRUE(client.Put(test::Numbered("key", i), Bytes(total / 20, i)).ok()) << i;
    EXPECT_TRUE(*client.Contains(test::Numbered("key", i))) << "the new one stays";
  }
  EXPECT_GE(StatsOf(client).objects, 15u) << "and no more went than needed";
  EXPECT_TRUE(Value(client, "key399") == Bytes(total / 20, 399));
}

TEST_P(DeleteTest, AFullObjectTableWithLruEvictsForWhatComes) {
  options_.eviction = Eviction::kLru;
  Client client = Connect();
  for (const size_t size : {size_t{10}, size_t{0}}) {  // also where no byte is freed by it
    for (uint32_t i = 0; i < 3 * options_.max_objects; ++i)
      ASSERT_TRUE(client.Put(test::Numbered("key", i), std::string(size, 'v')).ok()) << i << " of size " << size;
    EXPECT_EQ(StatsOf(client).objects, options_.max_objects);
  }
}

TEST_P(DeleteTest, WithoutLruAFullSegmentIsAnError) {
  Client client = Connect();
  const uint64_t total = StatsOf(client).bytes_total;
  ASSERT_TRUE(client.Put("a", std::string(total / 2, 'a')).ok());
  EXPECT_EQ(client.Put("b", std::string(total / 2 + 64, 'b')).code(), Code::kSegmentFull);
  EXPECT_TRUE(*client.Contains("a"));
  EXPECT_EQ(client.Put("a", std::string(total / 2 + 64, 'b')).code(), Code::kSegmentFull)
      << "old and new stand side by side until the new one is there";
  EXPECT_TRUE(Value(client, "a") == std::string(total / 2, 'a'));
}

}  // namespace
}  // namespace lightning
