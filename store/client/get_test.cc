// What Get, GetBatch, Contains and handles promise, in every mode.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "lightning/lightning.h"
#include "store/index/index.h"
#include "store/testing/conformance.h"
#include "store/testing/testing.h"

namespace lightning {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using test::Value;

constexpr auto kForEver = std::chrono::nanoseconds::max();

class GetTest : public test::Conformance {};
LIGHTNING_IN_ALL_MODES(GetTest);

TEST_P(GetTest, WhatIsAbsentIsNotFound) {
  Client client = Connect();
  EXPECT_EQ(client.Get("key").code(), Code::kNotFound);
  EXPECT_FALSE(*client.Contains("key"));
  EXPECT_EQ(client.Get("").code(), Code::kInvalidKey);
  EXPECT_EQ(client.Contains("").code(), Code::kInvalidKey);
  EXPECT_EQ(client.Get(std::string(kMaxKeySize + 1, 'k')).code(), Code::kInvalidKey);
  EXPECT_EQ(client.Contains(std::string(kMaxKeySize + 1, 'k')).code(), Code::kInvalidKey);
}

TEST_P(GetTest, WhatIsBeingCreatedIsNotThereYet) {
  Client client = Connect(), other = Connect();
  Result<Writer> writer = client.Create("key", 10);
  ASSERT_TRUE(writer.ok());
  EXPECT_EQ(client.Get("key").code(), Code::kNotFound);
  EXPECT_EQ(other.Get("key").code(), Code::kNotFound);
  EXPECT_FALSE(*other.Contains("key"));
  ASSERT_TRUE(writer->Seal().ok());
  EXPECT_TRUE(*other.Contains("key"));
}

// Rule 8: the bytes of a handle stay, whatever becomes of the key.
TEST_P(GetTest, PinnedBytesDoNotChange) {
  Client client = Connect(), other = Connect();
  for (const size_t size : {size_t{100}, size_t{5000}, size_t{100'000}}) {
    const std::string value = Bytes(size, 1);
    ASSERT_TRUE(client.Put("key", value, {AsBytes("meta"), {}}).ok());
    const Result<Handle> handle = client.Get("key");
    ASSERT_TRUE(handle.ok());
    ASSERT_TRUE(other.Put("key", Bytes(size, 2)).ok());
    EXPECT_TRUE(handle->view() == value) << "replaced";
    ASSERT_TRUE(other.Delete("key").ok());
    EXPECT_TRUE(handle->view() == value) << "deleted";
    for (uint32_t i = 0; i < 200; ++i) ASSERT_TRUE(other.Put("key", Bytes(size, i)).ok()) << i;
    ASSERT_TRUE(other.Delete("key").ok());
    ASSERT_TRUE(other.Recover().ok());
    EXPECT_TRUE(handle->view() == value) << "and the memory was needed";
    EXPECT_EQ(handle->metadata().size(), 4u);
    EXPECT_EQ(std::memcmp(handle->metadata().data(), "meta", 4), 0);
  }
}

TEST_P(GetTest, MemoryComesBackWhenTheLastHandleIsReleased) {
  Client client = Connect(), other = Connect();
  const uint64_t free = StatsOf(client).bytes_free;
  ASSERT_TRUE(client.Put("key", Bytes(100'000, 1)).ok());
  Result<Handle> first = client.Get("key"), second = other.Get("key");
  ASSERT_TRUE(first.ok() && second.ok());
  ASSERT_TRUE(client.Delete("key").ok());
  EXPECT_GE(StatsOf(client).bytes_retired, 100'000u);
  first->Release();
  EXPECT_FALSE(*first) << "released";
  EXPECT_EQ(first->size(), 0u);
  EXPECT_LT(StatsOf(client).bytes_free, free) << "the other still reads";
  second->Release();
  EXPECT_EQ(StatsOf(client).bytes_free, free);
  EXPECT_EQ(StatsOf(client).bytes_retired, 0u);
}

TEST_P(GetTest, AHandleOutlivesItsClient) {
  std::optional<Handle> handle;
  {
    Client client = Connect();
    ASSERT_TRUE(client.Put("key", Bytes(5000, 3)).ok());
    handle = std::move(*client.Get("key"));
  }
  Client other = Connect();
  EXPECT_EQ(StatsOf(other).clients, 2u) << "the first is attached for as long as its handle lives";
  ASSERT_TRUE(other.Delete("key").ok());
  for (uint32_t i = 0; i < 100; ++i) ASSERT_TRUE(other.Put("key", Bytes(5000, i)).ok());
  EXPECT_TRUE(handle->view() == Bytes(5000, 3));
  handle.reset();
  EXPECT_EQ(StatsOf(other).clients, 1u);
}

TEST_P(GetTest, HandlesCanBeMoved) {
  Client client = Connect();
  ASSERT_TRUE(client.Put("a", "1").ok());
  ASSERT_TRUE(client.Put("b", "2").ok());
  Handle a = std::move(*client.Get("a"));
  Handle b = std::move(*client.Get("b"));
  Handle c = std::move(a);
  EXPECT_FALSE(a);  // NOLINT: a moved-from handle is empty
  EXPECT_EQ(c.view(), "1");
  c = std::move(b);
  EXPECT_EQ(c.view(), "2");
  Handle& self = c;
  c = std::move(self);
  EXPECT_EQ(c.view(), "2");
}

TEST_P(GetTest, AClientHasExactlyMaxPinsHandles) {
  Client client = Connect(), other = Connect();
  ASSERT_TRUE(client.Put("key", "value").ok());
  std::vector<Handle> handles;
  for (uint32_t i = 0; i < options_.max_pins; ++i) {
    Result<Handle> handle = client.Get("key");
    ASSERT_TRUE(handle.ok()) << i;
    handles.push_back(std::move(*handle));
  }
  EXPECT_EQ(client.Get("key").code(), Code::kTooManyPins);
  EXPECT_TRUE(other.Get("key").ok()) << "each client has its own";
  handles.pop_back();
  EXPECT_TRUE(client.Get("key").ok());
}

TEST_P(GetTest, ADeadlineThatPassesIsATimeout) {
  Client client = Connect();
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(client.Get("key", milliseconds(20)).code(), Code::kTimeout);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, milliseconds(19));
}

TEST_P(GetTest, AWaitingGetIsWokenByTheSeal) {
  Client client = Connect(), other = Connect();
  for (const bool created : {false, true}) {
    const std::string key = created ? "created" : "put";
    Result<Writer> writer = other.Create("created", 5);
    std::thread sealer([&, waiter = gettid()] {
      EXPECT_TRUE(test::WaitUntilItSleeps(waiter));
      if (created) {
        std::memcpy(writer->Writable().data(), "value", 5);
        EXPECT_TRUE(writer->Seal().ok());
      } else {
        EXPECT_TRUE(other.Put(key, "value").ok());
      }
    });
    const Result<Handle> handle = client.Get(key, seconds(30));
    sealer.join();
    ASSERT_TRUE(handle.ok()) << handle.status().ToString();
    EXPECT_EQ(handle->view(), "value");
  }
}

TEST_P(GetTest, OneClientsThreadsCanWaitAndSeal) {
  Client client = Connect();
  std::thread sealer([&, waiter = gettid()] {
    EXPECT_TRUE(test::WaitUntilItSleeps(waiter));
    EXPECT_TRUE(client.Put("key", "value").ok());
  });
  EXPECT_TRUE(client.Get("key", seconds(30)).ok());
  sealer.join();
}

TEST_P(GetTest, AGetThatWaitsForEverIsWokenByTheSeal) {
  Client client = Connect(), other = Connect();
  std::thread sealer([&, waiter = gettid()] {
    EXPECT_TRUE(test::WaitUntilItSleeps(waiter));
    EXPECT_TRUE(other.Put("key", "value").ok());
  });
  const Result<Handle> handle = client.Get("key", kForEver);
  sealer.join();
  ASSERT_TRUE(handle.ok()) << handle.status().ToString();
  EXPECT_EQ(handle->view(), "value");
}

TEST_P(GetTest, ABatchHasOneResultForEachKeyInOrder) {
  Client client = Connect();
  ASSERT_TRUE(client.Put("a", "1").ok());
  ASSERT_TRUE(client.Put("c", "3").ok());
  const std::vector<std::string_view> keys = {"a", "b", "c", "", "a"};
  const std::vector<Result<Handle>> results = client.GetBatch(keys);
  ASSERT_EQ(results.size(), 5u);
  EXPECT_EQ(results[0]->view(), "1");
  EXPECT_EQ(results[1].code(), Code::kNotFound);
  EXPECT_EQ(results[2]->view(), "3");
  EXPECT_EQ(results[3].code(), Code::kInvalidKey);
  EXPECT_EQ(results[4]->view(), "1");
  EXPECT_TRUE(client.GetBatch({}).empty());
}

TEST_P(GetTest, AWaitingBatchIsWokenByTheSeal) {
  Client client = Connect(), other = Connect();
  ASSERT_TRUE(client.Put("there", "1").ok());
  for (const std::chrono::nanoseconds timeout : {std::chrono::nanoseconds(seconds(30)), kForEver}) {
    static_cast<void>(other.Delete("soon"));
    std::thread sealer([&, waiter = gettid()] {
      EXPECT_TRUE(test::WaitUntilItSleeps(waiter));
      EXPECT_TRUE(other.Put("soon", "2").ok());
    });
    const std::vector<std::string_view> keys = {"soon", "there"};
    const std::vector<Result<Handle>> results = client.GetBatch(keys, timeout);
    sealer.join();
    ASSERT_TRUE(results[0].ok()) << results[0].status().ToString();
    EXPECT_EQ(results[0]->view(), "2");
    EXPECT_EQ(results[1]->view(), "1");
  }
}

TEST_P(GetTest, ABatchWaitsUntilItsDeadline) {
  Client client = Connect();
  ASSERT_TRUE(client.Put("there", "1").ok());
  const std::vector<std::string_view> keys = {"never", "there", "neither"};
  const auto begin = std::chrono::steady_clock::now();
  const std::vector<Result<Handle>> results = client.GetBatch(keys, milliseconds(30));
  EXPECT_GE(std::chrono::steady_clock::now() - begin, milliseconds(29));
  EXPECT_EQ(results[0].code(), Code::kTimeout);
  EXPECT_EQ(results[1]->view(), "1");
  EXPECT_EQ(results[2].code(), Code::kTimeout);
}

// Rule 9: readers see the old value or the new one, whole, and never nothing.
TEST_P(GetTest, ReadersSeeTheOldOrTheNewValueOnly) {
  Client writer = Connect(), reader = Connect();
  const auto value = [](size_t i) { return std::string(200 + i % 7 * 300, static_cast<char>('a' + i % 26)); };
  ASSERT_TRUE(writer.Put("key", value(0)).ok());
  std::atomic<bool> started{false}, done{false};
  std::thread thread([&] {
    started = true;
    for (size_t i = 1; i < 3000; ++i) EXPECT_TRUE(writer.Put("key", value(i)).ok());
    done = true;
  });
  while (!started) std::this_thread::yield();
  uint64_t last = 0, torn = 0, missed = 0, back = 0;
  for (int i = 0; !done || i < 1000; ++i) {
    const Result<Handle> handle = reader.Get("key");
    missed += !handle.ok() || !*reader.Contains("key");
    if (!handle.ok()) continue;
    torn +=
        handle->view().find_first_not_of(handle->view()[0]) != std::string_view::npos || handle->size() % 300 != 200;
    back += handle->version() < last;
    last = handle->version();
  }
  thread.join();
  EXPECT_EQ(torn, 0u);
  EXPECT_EQ(missed, 0u);
  EXPECT_EQ(back, 0u) << "versions that a reader sees rise";
}

// The same where keys come and go: a get finds the key's own bytes or nothing.
TEST_P(GetTest, ReadersNeverSeeAnotherKeysBytes) {
  Client writer = Connect(), reader = Connect();
  std::atomic<bool> started{false}, done{false};
  std::thread thread([&] {
    started = true;
    for (uint32_t i = 0; i < 5000; ++i) {
      const std::string key = test::Numbered("key", i % 5);
      if (i % 3 == 2) {
        static_cast<void>(writer.Delete(key).ok());
      } else {
        EXPECT_TRUE(writer.Put(key, key + key).ok());
      }
    }
    done = true;
  });
  while (!started) std::this_thread::yield();
  uint64_t wrong = 0;
  for (uint32_t i = 0; !done || i < 1000; ++i) {
    const std::string key = test::Numbered("key", i % 5);
    const Result<Handle> handle = reader.Get(key);
    wrong += handle.ok() ? handle->view() != key + key : handle.code() != Code::kNotFound;
  }
  thread.join();
  EXPECT_EQ(wrong, 0u);
  EXPECT_EQ(test::Content(reader).size(), 4u) << "what the last changes left";
}

// Two keys of one bucket whose entries look alike: a reader pins by the entry, and has to notice that the key differs.
TEST(GetCollisionTest, KeysWithTheSameTagAreToldApart) {
  test::World world;
  const test::MemorySegment memory(test::SmallOptions());
  Client client = std::move(*memory.Attach(world));
  const Segment& segment = memory.segment();
  std::map<std::pair<const Bucket*, uint64_t>, std::string> seen;
  std::string first, second;
  for (uint32_t i = 0; first.empty(); ++i) {
    second = test::Numbered("key", i);
    const uint64_t hash = Key(segment, second).hash;
    const auto [at, is_new] = seen.emplace(std::pair(&segment.home(hash), hash << 38), second);
    if (!is_new) first = at->second;
  }
  ASSERT_TRUE(client.Put(first, "the first").ok());
  EXPECT_EQ(client.Get(second).code(), Code::kNotFound);
  ASSERT_TRUE(client.Put(second, "the second").ok());
  // More often than there are pins: none may stay behind.
  for (uint32_t i = 0; i < 3 * segment.geometry().max_pins; ++i) {
    ASSERT_EQ(Value(client, first), "the first");
    ASSERT_EQ(Value(client, second), "the second");
  }
  ASSERT_TRUE(client.Delete(first).ok());
  EXPECT_EQ(client.Get(first).code(), Code::kNotFound);
  EXPECT_EQ(Value(client, second), "the second");
  EXPECT_EQ(test::Violations(memory.Check(world)), "");
}

// By the world's own clock, which no neighbour of this machine slows down.
TEST(GetDeadlineTest, ABatchHasOneDeadlineForAllItsKeys) {
  test::World world;
  world.real_time = false;
  const test::MemorySegment memory(test::SmallOptions());
  Client client = std::move(*memory.Attach(world));
  constexpr Nanoseconds kDeadline{300'000'000};
  const Nanoseconds begin(world.now.load());
  const std::vector<std::string_view> keys = {"never", "neither", "nor"};
  for (const Result<Handle>& result : client.GetBatch(keys, kDeadline)) EXPECT_EQ(result.code(), Code::kTimeout);
  const Nanoseconds spent = Nanoseconds(world.now.load()) - begin;
  EXPECT_GE(spent, kDeadline);
  EXPECT_LT(spent, kDeadline * 11 / 10);
}

}  // namespace
}  // namespace lightning
