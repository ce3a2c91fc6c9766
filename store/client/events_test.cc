// What Subscribe and Next promise, in every mode.
#include <gtest/gtest.h>
#include <unistd.h>

#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "lightning/lightning.h"
#include "store/testing/conformance.h"

namespace lightning {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class EventsTest : public test::Conformance {
 protected:
  // "sealed key 1 5": kind, key, version, size; or the Status.
  static std::string Next(Subscription& subscription, std::chrono::nanoseconds timeout = {}) {
    const Result<Event> event = subscription.Next(timeout);
    if (!event.ok()) return CodeName(event.code());
    return std::string(EventKindName(event->kind)) + " " + event->key + " " + std::to_string(event->version) + " " +
           std::to_string(event->size);
  }
};
LIGHTNING_IN_ALL_MODES(EventsTest);

TEST_P(EventsTest, ChangesComeInTheirOrder) {
  Client client = Connect(), other = Connect();
  ASSERT_TRUE(client.Put("before", "x").ok());
  Result<Subscription> subscription = client.Subscribe();
  ASSERT_TRUE(subscription.ok());
  EXPECT_EQ(Next(*subscription), "TIMEOUT") << "from the moment of Subscribe on";
  const uint64_t put = *other.Put("key", "value");
  const uint64_t replaced = *client.Put("key", "longer value");
  ASSERT_TRUE(other.Delete("key").ok());
  Result<Writer> writer = other.Create("made", 3);
  const uint64_t made = *writer->Seal();
  EXPECT_EQ(Next(*subscription), "sealed key " + std::to_string(put) + " 5");
  EXPECT_EQ(Next(*subscription), "sealed key " + std::to_string(replaced) + " 12");
  EXPECT_EQ(Next(*subscription), "deleted key " + std::to_string(replaced) + " 12");
  EXPECT_EQ(Next(*subscription), "sealed made " + std::to_string(made) + " 3");
  EXPECT_EQ(Next(*subscription), "TIMEOUT");
  ASSERT_TRUE(client.Evict(~uint64_t{0}).ok());
  EXPECT_EQ(Next(*subscription).substr(0, 8), "evicted ");
  EXPECT_EQ(Next(*subscription).substr(0, 8), "evicted ");
  EXPECT_EQ(subscription->lost(), 0u);
}

TEST_P(EventsTest, WhatFailsOrIsAbortedMakesNoEvent) {
  Client client = Connect();
  Result<Subscription> subscription = client.Subscribe();
  EXPECT_FALSE(client.Replace("key", AsBytes("x"), 1).ok());
  EXPECT_FALSE(client.Delete("key").ok());
  { const Result<Writer> aborted = client.Create("key", 5); }
  EXPECT_EQ(Next(*subscription), "TIMEOUT");
}

TEST_P(EventsTest, SequenceNumbersAreConsecutiveAndTheSameForAll) {
  Client client = Connect(), other = Connect();
  Result<Subscription> first = client.Subscribe(), second = other.Subscribe();
  for (uint32_t i = 0; i < 30; ++i) {
    ASSERT_TRUE(client.Put(test::Numbered("key", i % 4), "v").ok());
    const Result<Event> one = first->Next({}), two = second->Next({});
    ASSERT_TRUE(one.ok() && two.ok());
    EXPECT_EQ(one->sequence, i);
    EXPECT_EQ(two->sequence, i);
    EXPECT_EQ(one->key, two->key);
  }
}

// Rather than loss in silence.
TEST_P(EventsTest, WhoFallsBehindIsToldHowMuchWasLost) {
  Client client = Connect();
  Result<Subscription> subscription = client.Subscribe();
  for (uint32_t i = 0; i < options_.event_slots + 5; ++i) ASSERT_TRUE(client.Put(test::Numbered("k", i), "v").ok());
  EXPECT_EQ(Next(*subscription), "FELL_BEHIND");
  EXPECT_EQ(subscription->lost(), 5u);
  for (uint32_t i = 0; i < options_.event_slots; ++i) {
    const Result<Event> event = subscription->Next({});
    ASSERT_TRUE(event.ok()) << i;
    EXPECT_EQ(event->sequence, i + 5) << "goes on with the oldest that is left";
    EXPECT_EQ(event->key, test::Numbered("k", i + 5));
  }
  EXPECT_EQ(Next(*subscription), "TIMEOUT");
}

TEST_P(EventsTest, ABatchLongerThanTheRingIsToldToo) {
  Client client = Connect();
  Result<Subscription> subscription = client.Subscribe();
  std::vector<std::string> keys;
  for (uint32_t i = 0; i < 20; ++i) keys.push_back(test::Numbered("k", i));
  std::vector<BatchItem> items;
  for (const std::string& key : keys) items.push_back({key, AsBytes("v"), {}});
  ASSERT_TRUE(client.PutBatch(items).ok());
  EXPECT_EQ(Next(*subscription), "FELL_BEHIND");
  EXPECT_EQ(subscription->lost(), 20u - options_.event_slots);
  EXPECT_EQ(subscription->Next({})->key, test::Numbered("k", 20 - options_.event_slots));
}

TEST_P(EventsTest, AWaitingSubscriberIsWoken) {
  Client client = Connect(), other = Connect();
  Result<Subscription> subscription = client.Subscribe();
  const auto for_ever = std::chrono::nanoseconds::max();
  for (const std::chrono::nanoseconds timeout : {std::chrono::nanoseconds(seconds(30)), for_ever}) {
    std::thread writer([&, waiter = gettid()] {
      EXPECT_TRUE(test::WaitUntilItSleeps(waiter));
      EXPECT_TRUE(other.Put("key", "value").ok());
    });
    EXPECT_EQ(Next(*subscription, timeout).substr(0, 10), "sealed key");
    writer.join();
  }
}

TEST_P(EventsTest, KeysOfFullLengthFitIntoAnEvent) {
  Client client = Connect();
  Result<Subscription> subscription = client.Subscribe();
  const std::string key = Bytes(kMaxKeySize, 3);
  ASSERT_TRUE(client.Put(key, "v").ok());
  const Result<Event> event = subscription->Next({});
  ASSERT_TRUE(event.ok());
  EXPECT_TRUE(event->key == key);
}

TEST_P(EventsTest, ASubscriptionKeepsItsClientAttachedAndEndsWithItself) {
  std::optional<Subscription> subscription;
  Client other = Connect();
  {
    Client client = Connect();
    subscription = std::move(*client.Subscribe());
  }
  ASSERT_TRUE(other.Put("key", "v").ok());
  EXPECT_EQ(Next(*subscription).substr(0, 10), "sealed key");
  Subscription moved = std::move(*subscription);
  EXPECT_EQ(Next(*subscription), "CLOSED");  // NOLINT: moved from
  EXPECT_EQ(Next(moved), "TIMEOUT");
  subscription.reset();
  { const Subscription gone = std::move(moved); }
  EXPECT_EQ(StatsOf(other).clients, 1u);
}

// Every change after Subscribe has its event, and each once, while several clients write.
TEST_P(EventsTest, NoChangeIsMissedWhileSeveralWrite) {
  options_.event_slots = 4096;
  options_.size = 8 << 20;
  Client listener = Connect();
  constexpr uint32_t kWrites = 400;
  Result<Subscription> subscription = listener.Subscribe();
  std::vector<std::thread> threads;
  for (uint32_t id = 0; id < 2; ++id) {
    threads.emplace_back([&, id] {
      Client client = Connect();
      for (uint32_t i = 0; i < kWrites; ++i) EXPECT_EQ(client.Put(test::Numbered("key", id), "v").code(), Code::kOk);
    });
  }
  uint64_t seen[2] = {0, 0}, versions[2] = {0, 0};
  for (uint32_t i = 0; i < 2 * kWrites; ++i) {
    const Result<Event> event = subscription->Next(seconds(30));
    EXPECT_TRUE(event.ok()) << i << event.status().ToString();
    if (!event.ok()) break;
    EXPECT_EQ(event->sequence, i);
    const size_t id = event->key == "key1";
    EXPECT_GT(event->version, versions[id]);
    versions[id] = event->version;
    ++seen[id];
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(seen[0], kWrites);
  EXPECT_EQ(seen[1], kWrites);
}

}  // namespace
}  // namespace lightning
