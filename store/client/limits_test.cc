// Segments filled to their limits, to the byte and to the object, in every mode.
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "lightning/lightning.h"
#include "store/testing/conformance.h"

namespace lightning {
namespace {

using test::Numbered;
using test::Value;

class LimitsTest : public test::Conformance {
 protected:
  // Puts values of `size` bytes until one does not fit; how many did.
  static uint64_t Fill(Client& client, const std::string& prefix, size_t size) {
    for (uint64_t i = 0;; ++i) {
      const Code code = client.Put(Numbered(prefix, i), std::string(size, 'v')).code();
      if (code != Code::kOk) {
        EXPECT_EQ(code, Code::kSegmentFull);
        return i;
      }
    }
  }
};
LIGHTNING_IN_ALL_MODES(LimitsTest);

TEST_P(LimitsTest, EveryByteOfTheHeapCanBeUsedAndComesBack) {
  options_.max_objects = 20'000;
  options_.size = (8 << 20) + (128 << 10);
  Client client = Connect();
  const Stats empty = StatsOf(client);
  EXPECT_EQ(empty.bytes_free, empty.bytes_total);
  EXPECT_EQ(empty.largest_free, empty.bytes_total);
  // Large ones first, then what fits between them, down to single granules.
  uint64_t used = 0;
  for (const size_t size : {300'000u, 70'000u, 5000u, 1000u, 64u}) {
    const uint64_t count = Fill(client, Numbered("size", size), size);
    EXPECT_GT(count + (size == 5000 || size == 1000), 0u) << size;
    used += count * ((size + 63) / 64 * 64);
  }
  const Stats full = StatsOf(client);
  EXPECT_EQ(used, empty.bytes_total) << "filled to the byte";
  EXPECT_EQ(full.bytes_free, 0u);
  EXPECT_EQ(full.bytes_used, empty.bytes_total);
  EXPECT_EQ(full.largest_free, 0u);
  EXPECT_EQ(client.Put("more", "1").code(), Code::kSegmentFull);
  EXPECT_EQ(client.Create("more", 1).code(), Code::kSegmentFull);
  EXPECT_TRUE(client.Put("empty", "").ok()) << "nothing needs no room";
  const Result<std::vector<ObjectInfo>> all = client.List();
  ASSERT_TRUE(all.ok());
  for (const ObjectInfo& info : *all) ASSERT_TRUE(client.Delete(info.key).ok());
  ASSERT_TRUE(client.Recover().ok());
  const Stats after = StatsOf(client);
  EXPECT_EQ(after.bytes_free, empty.bytes_total);
  EXPECT_EQ(after.largest_free, empty.bytes_total) << "the largest extent is whole again";
}

TEST_P(LimitsTest, OneValueMayFillTheHeapExactly) {
  Client client = Connect();
  const uint64_t total = StatsOf(client).bytes_total;
  for (int i = 0; i < 3; ++i) {
    const std::string value = Bytes(total, static_cast<uint32_t>(i));
    ASSERT_TRUE(client.Put("all", value).ok());
    EXPECT_EQ(StatsOf(client).bytes_free, 0u);
    EXPECT_TRUE(Value(client, "all") == value);
    ASSERT_TRUE(client.Delete("all").ok());
    Result<Writer> writer = client.Create("all", total);
    ASSERT_TRUE(writer.ok());
    std::memcpy(writer->Writable().data(), value.data(), total);
    ASSERT_TRUE(writer->Seal().ok());
    EXPECT_TRUE(Value(client, "all") == value);
    ASSERT_TRUE(client.Delete("all").ok());
  }
}

TEST_P(LimitsTest, ExactlyMaxObjectsFit) {
  Client client = Connect(), other = Connect();
  for (uint32_t i = 0; i < options_.max_objects; ++i)
    ASSERT_TRUE((i % 2 == 0 ? client : other).Put(Numbered("key", i), "value").ok()) << i;
  for (Client* each : {&client, &other}) {
    EXPECT_EQ(each->Put("more", "value").code(), Code::kTooManyObjects);
    EXPECT_EQ(each->Create("more", 5).code(), Code::kTooManyObjects);
    EXPECT_EQ(each->Put("more", Bytes(100'000, 1)).code(), Code::kTooManyObjects);
    for (int i = 0; i < 200; ++i) ASSERT_TRUE(each->Put("key7", "replaced").ok()) << "a replacement adds none";
  }
  EXPECT_EQ(StatsOf(client).objects, options_.max_objects);
  ASSERT_TRUE(other.Delete("key3").ok());
  EXPECT_TRUE(client.Put("more", "value").ok()) << "whoever deleted, there is room for one";
  EXPECT_EQ(other.Put("yet more", "value").code(), Code::kTooManyObjects);
}

// Unsealed objects count: their keys are taken.
TEST_P(LimitsTest, ObjectsBeingCreatedCount) {
  options_.max_objects = 3;
  Client client = Connect();
  std::vector<Writer> writers;
  for (uint32_t i = 0; i < 3; ++i) writers.push_back(std::move(*client.Create(Numbered("key", i), 10)));
  EXPECT_EQ(client.Put("more", "value").code(), Code::kTooManyObjects);
  ASSERT_TRUE(writers[1].Abort().ok());
  EXPECT_TRUE(client.Put("more", "value").ok());
  EXPECT_EQ(StatsOf(client).objects, 3u);
}

TEST_P(LimitsTest, OneObjectIsALimitToo) {
  options_.max_objects = 1;
  Client client = Connect();
  ASSERT_TRUE(client.Put("a", "1").ok());
  EXPECT_EQ(client.Put("b", "2").code(), Code::kTooManyObjects);
  ASSERT_TRUE(client.Put("a", "3").ok());
  ASSERT_TRUE(client.Delete("a").ok());
  ASSERT_TRUE(client.Put("b", "2").ok());
  EXPECT_EQ(Value(client, "b"), "2");
}

TEST_P(LimitsTest, ExactlyMaxClientsAttach) {
  std::vector<Client> clients;
  for (uint32_t i = 0; i < options_.max_clients; ++i) {
    Result<Client> client = TryConnect();
    ASSERT_TRUE(client.ok()) << i;
    clients.push_back(std::move(*client));
  }
  EXPECT_EQ(TryConnect().code(), Code::kTooManyClients);
  EXPECT_EQ(StatsOf(clients[0]).clients, options_.max_clients);
  ASSERT_TRUE(clients[2].Put("key", "value").ok());
  clients.erase(clients.begin() + 1);
  Result<Client> next = TryConnect();
  ASSERT_TRUE(next.ok()) << "a slot that was left can be had";
  EXPECT_EQ(Value(*next, "key"), "value");
  EXPECT_EQ(TryConnect().code(), Code::kTooManyClients);
}

// What others have at hand counts as free: it is taken back when memory runs short.
TEST_P(LimitsTest, WhatAnotherClientKeepsAtHandCanBeHad) {
  Client hoarder = Connect(), client = Connect();
  const uint64_t total = StatsOf(client).bytes_total;
  for (uint32_t i = 0; i < 40; ++i) ASSERT_TRUE(hoarder.Put(Numbered("key", i), Bytes(1000, i)).ok());
  for (uint32_t i = 0; i < 40; ++i) ASSERT_TRUE(hoarder.Delete(Numbered("key", i)).ok());
  EXPECT_TRUE(client.Put("all", std::string(total, 'v')).ok()) << "though the other did not move";
  EXPECT_EQ(hoarder.Put("key", "x").code(), Code::kSegmentFull);
}

// The same while the other is busy all the time: a limit is an error when it is reached, not when others are quick.
TEST_P(LimitsTest, ABusyClientsStockDoesNotMakeTheSegmentLookFull) {
  Client busy = Connect(), client = Connect();
  const uint64_t total = StatsOf(client).bytes_total;
  for (uint32_t i = 0; i < 20; ++i) {
    ASSERT_TRUE(busy.Put(Numbered("key", i), Bytes(3000, i)).ok());
    ASSERT_TRUE(busy.Delete(Numbered("key", i)).ok());
  }
  std::atomic<bool> started{false}, stop{false};
  std::thread thread([&] {
    while (!stop) {
      EXPECT_EQ(busy.Put("busy", "value").code(), Code::kOk);
      started = true;
    }
  });
  while (!started) std::this_thread::yield();
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(client.Put("new", std::string(total / 10 * 9, 'v')).code(), Code::kOk) << i;
    EXPECT_EQ(client.Delete("new").code(), Code::kOk) << i;
  }
  stop = true;
  thread.join();
}

TEST_P(LimitsTest, WhatAReaderPinsCannotBeHadUntilItIsReleased) {
  Client client = Connect();
  const uint64_t total = StatsOf(client).bytes_total;
  ASSERT_TRUE(client.Put("pinned", std::string(1000, 'p')).ok());
  std::optional<Handle> handle = std::move(*client.Get("pinned"));
  ASSERT_TRUE(client.Delete("pinned").ok());
  EXPECT_EQ(client.Put("all", std::string(total, 'v')).code(), Code::kSegmentFull);
  EXPECT_EQ(handle->view(), std::string(1000, 'p'));
  handle.reset();
  EXPECT_TRUE(client.Put("all", std::string(total, 'v')).ok());
}

// More objects retired and pinned than the table holds besides max_objects: an error with a name, not a crash.
TEST_P(LimitsTest, IdsHeldByReadersRunOutWithAnError) {
  options_.max_pins = 1000;
  options_.max_objects = 4;
  Client client = Connect();
  std::vector<Handle> handles;
  Code code = Code::kOk;
  for (uint32_t i = 0; i < 900 && code == Code::kOk; ++i) {
    code = client.Put("key", "v").code();
    if (code == Code::kOk) handles.push_back(std::move(*client.Get("key")));
  }
  EXPECT_EQ(code, Code::kTooManyObjects);
  EXPECT_GT(handles.size(), 64u);
  handles.clear();
  EXPECT_TRUE(client.Put("key", "v").ok());
}

}  // namespace
}  // namespace lightning
