// What List and Stats promise, in every mode.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "lightning/lightning.h"
#include "store/testing/conformance.h"

namespace lightning {
namespace {

class SurveyTest : public test::Conformance {
 protected:
  static std::vector<std::string> Keys(Client& client, std::string_view prefix) {
    std::vector<std::string> keys;
    const Result<std::vector<ObjectInfo>> list = client.List(prefix);
    LIGHTNING_ASSERT(list.ok());
    for (const ObjectInfo& info : *list) keys.push_back(info.key);
    return keys;
  }
};
LIGHTNING_IN_ALL_MODES(SurveyTest);

TEST_P(SurveyTest, AListIsSortedAndHasThePrefix) {
  Client client = Connect();
  for (const char* key : {"b/2", "a", "b/10", "b", "c/1", "b/1", "B/1"}) ASSERT_TRUE(client.Put(key, "v").ok());
  ASSERT_TRUE(client.Put(std::string("b/\0x", 4), "v").ok());
  EXPECT_EQ(Keys(client, "b/"), (std::vector<std::string>{std::string("b/\0x", 4), "b/1", "b/10", "b/2"}));
  EXPECT_EQ(Keys(client, ""),
            (std::vector<std::string>{"B/1", "a", "b", std::string("b/\0x", 4), "b/1", "b/10", "b/2", "c/1"}));
  EXPECT_EQ(Keys(client, "b/10"), std::vector<std::string>{"b/10"});
  EXPECT_TRUE(Keys(client, "b/100").empty());
  EXPECT_TRUE(Keys(client, std::string(2000, 'x')).empty());
}

TEST_P(SurveyTest, AListSaysVersionAndSizes) {
  Client client = Connect();
  const std::string long_key(500, 'k');
  ASSERT_TRUE(client.Put(long_key, "old").ok());
  const uint64_t version = *client.Put(long_key, Bytes(777, 1), {AsBytes("four"), {}});
  const Result<std::vector<ObjectInfo>> list = client.List("k");
  ASSERT_TRUE(list.ok());
  ASSERT_EQ(list->size(), 1u);
  EXPECT_EQ((*list)[0].key, long_key);
  EXPECT_EQ((*list)[0].version, version);
  EXPECT_EQ((*list)[0].size, 777u);
  EXPECT_EQ((*list)[0].metadata_size, 4u);
}

// While others write, a key that is there all the while is listed, once, and one that never was is not.
TEST_P(SurveyTest, AListIsSoundWhileOthersWrite) {
  Client client = Connect(), writer = Connect();
  for (uint32_t i = 0; i < 20; ++i) ASSERT_TRUE(client.Put(test::Numbered("stays", 10 + i), "v").ok());
  std::atomic<bool> started{false}, done{false};
  std::thread thread([&] {
    started = true;
    for (uint32_t i = 0; i < 2000; ++i) {
      const std::string key = test::Numbered("comes", i % 10);
      EXPECT_TRUE(i % 20 < 10 ? writer.Put(key, "v").ok() : writer.Delete(key).ok());
      EXPECT_TRUE(writer.Put(test::Numbered("stays", 10 + i % 20), "w").ok());
    }
    done = true;
  });
  while (!started) std::this_thread::yield();
  for (int i = 0; !done || i < 10; ++i) {
    EXPECT_EQ(Keys(client, "stays").size(), 20u);
    const std::vector<std::string> all = Keys(client, "");
    EXPECT_TRUE(std::is_sorted(all.begin(), all.end()));
    EXPECT_EQ(std::adjacent_find(all.begin(), all.end()), all.end());
    EXPECT_LE(all.size(), 30u);
  }
  thread.join();
}

TEST_P(SurveyTest, StatsAccountForEveryByte) {
  Client client = Connect();
  const Stats empty = StatsOf(client);
  EXPECT_EQ(empty.segment_size, options_.size);
  EXPECT_EQ(empty.isolation, client.isolation());
  EXPECT_EQ(empty.objects_max, options_.max_objects);
  EXPECT_EQ(empty.clients, 1u);
  EXPECT_EQ(empty.clients_max, options_.max_clients);
  EXPECT_EQ(empty.eviction, Eviction::kNone);
  EXPECT_EQ(empty.bytes_used + empty.bytes_retired, 0u);
  ASSERT_TRUE(client.Put("a", Bytes(100, 1)).ok());    // 128
  ASSERT_TRUE(client.Put("b", Bytes(6400, 1)).ok());   // 6400
  ASSERT_TRUE(client.Put("c", "").ok());               // 0
  Result<Writer> writer = client.Create("d", 70'000);  // whole pages: 73,728
  ASSERT_TRUE(writer.ok());
  Stats stats = StatsOf(client);
  EXPECT_EQ(stats.bytes_used, 128u + 6400u + 73'728u);
  EXPECT_EQ(stats.bytes_used + stats.bytes_retired + stats.bytes_free, stats.bytes_total);
  EXPECT_EQ(stats.objects, 4u) << "sealed and unsealed";
  const Result<Handle> handle = client.Get("b");
  ASSERT_TRUE(client.Delete("b").ok());
  stats = StatsOf(client);
  EXPECT_EQ(stats.bytes_used, 128u + 73'728u);
  EXPECT_EQ(stats.bytes_retired, 6400u);
  EXPECT_EQ(stats.bytes_used + stats.bytes_retired + stats.bytes_free, stats.bytes_total);
  EXPECT_EQ(stats.objects, 3u);
  EXPECT_LE(stats.largest_free, stats.bytes_free);
  EXPECT_GT(stats.largest_free, 0u);
}

TEST_P(SurveyTest, StatsCountOperations) {
  Client client = Connect();
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(client.Put("key", "v").ok());
  for (int i = 0; i < 7; ++i) ASSERT_TRUE(client.Get("key").ok());
  ASSERT_TRUE(client.Delete("key").ok());
  const Stats stats = StatsOf(client);
  EXPECT_EQ(stats.puts, 5u);
  EXPECT_EQ(stats.gets, 7u);
  EXPECT_EQ(stats.deletes, 1u);
  EXPECT_EQ(stats.recoveries, 0u);
}

}  // namespace
}  // namespace lightning
