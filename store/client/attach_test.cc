// Attaching, closing, forking, threads: the life of a Client, in every mode.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "lightning/lightning.h"
#include "store/testing/conformance.h"

namespace lightning {
namespace {

using test::Numbered;
using test::RunInChild;
using test::Value;

class AttachTest : public test::Conformance {};
LIGHTNING_IN_ALL_MODES(AttachTest);

TEST_P(AttachTest, TheModeInForceIsTheOneAskedFor) {
  Client client = Connect();
  EXPECT_EQ(client.isolation(), GetParam().isolation);
  EXPECT_FALSE(client.path().empty());
}

TEST_P(AttachTest, ContentStaysWhenEverybodyLeaves) {
  {
    Client client = Connect();
    ASSERT_TRUE(client.Put("key", "value").ok());
  }
  Client client = Connect();
  EXPECT_EQ(Value(client, "key"), "value");
  EXPECT_EQ(StatsOf(client).clients, 1u);
}

TEST_P(AttachTest, EveryCallAfterCloseSaysClosed) {
  Client client = Connect();
  ASSERT_TRUE(client.Put("key", "value").ok());
  client.Close();
  client.Close();
  const BatchItem items[] = {{"key", AsBytes("v"), {}}};
  const std::string_view keys[] = {"key", "other"};
  EXPECT_EQ(client.Put("key", "v").code(), Code::kClosed);
  EXPECT_EQ(client.Replace("key", AsBytes("v"), 1).code(), Code::kClosed);
  EXPECT_EQ(client.PutBatch(items).code(), Code::kClosed);
  EXPECT_EQ(client.Create("key", 1).code(), Code::kClosed);
  EXPECT_EQ(client.Get("key").code(), Code::kClosed);
  EXPECT_EQ(client.GetBatch(keys)[1].code(), Code::kClosed);
  EXPECT_EQ(client.Contains("key").code(), Code::kClosed);
  EXPECT_EQ(client.Delete("key").code(), Code::kClosed);
  EXPECT_EQ(client.List().code(), Code::kClosed);
  EXPECT_EQ(client.Evict(1).code(), Code::kClosed);
  EXPECT_EQ(client.GetStats().code(), Code::kClosed);
  EXPECT_EQ(client.Recover().code(), Code::kClosed);
  EXPECT_EQ(client.Subscribe().code(), Code::kClosed);
  const CheckReport report = client.Check();
  EXPECT_FALSE(report.ok);
  EXPECT_NE(test::Violations(report).find("CLOSED"), std::string::npos);
  EXPECT_TRUE(client.path().empty());
}

TEST_P(AttachTest, AMovedFromClientIsClosed) {
  Client client = Connect();
  Client other = std::move(client);
  EXPECT_EQ(client.Put("key", "v").code(), Code::kClosed);  // NOLINT: what a moved-from client says
  EXPECT_TRUE(other.Put("key", "v").ok());
  client = std::move(other);
  EXPECT_TRUE(client.Put("key", "v").ok());
}

TEST_P(AttachTest, SeveralClientsOfOneProcessAreIndependent) {
  Client first = Connect(), second = Connect();
  std::optional<Client> third = Connect();
  EXPECT_EQ(StatsOf(first).clients, 3u);
  ASSERT_TRUE(first.Put("key", "1").ok());
  const Result<Handle> handle = third->Get("key");
  third.reset();  // its handle keeps it attached
  ASSERT_TRUE(second.Delete("key").ok());
  EXPECT_EQ(handle->view(), "1");
  first.Close();
  EXPECT_TRUE(second.Put("key", "2").ok());
  EXPECT_EQ(StatsOf(second).clients, 2u);
}

TEST_P(AttachTest, AForkedChildIsToldSo) {
  Client client = Connect();
  ASSERT_TRUE(client.Put("key", "value").ok());
  Result<Writer> writer = client.Create("unsealed", 10);
  Result<Subscription> subscription = client.Subscribe();
  ASSERT_TRUE(writer.ok() && subscription.ok());
  const int status = RunInChild([&] {
    const BatchItem items[] = {{"key", AsBytes("v"), {}}};
    const std::string_view keys[] = {"key"};
    int told = 0;
    for (const Code code :
         {client.Put("key", "v").code(), client.Replace("key", AsBytes("v"), 1).code(), client.PutBatch(items).code(),
          client.PutBatch({}).code(), client.Create("new", 1).code(), client.Get("key").code(),
          client.GetBatch(keys)[0].code(), client.Contains("key").code(), client.Delete("key").code(),
          client.List().code(), client.Evict(1).code(), client.GetStats().code(), client.Recover().code(),
          client.Subscribe().code(), subscription->Next({}).code(), writer->Seal().code(), writer->Abort().code()})
      told += code == Code::kForked;
    if (client.Check().ok) return 100;
    client.Close();
    return told;
  });
  EXPECT_EQ(status, 17) << "each of the calls says so, and none crashes";
  EXPECT_EQ(Value(client, "key"), "value");
  EXPECT_TRUE(writer->Seal().ok()) << "the parent's own are as they were";
  EXPECT_EQ(StatsOf(client).clients, 1u);
}

TEST_P(AttachTest, AForkedChildReadsItsParentsHandlesAndUnpinsNothing) {
  Client client = Connect(), other = Connect();
  const std::string value = Bytes(100'000, 4);
  ASSERT_TRUE(client.Put("key", value).ok());
  std::optional<Handle> handle = std::move(*client.Get("key"));
  const int status = RunInChild([&] {
    const bool same = handle->view() == value;
    handle.reset();  // in the child alone
    client.Close();
    return same ? 1 : 0;
  });
  EXPECT_EQ(status, 1);
  ASSERT_TRUE(other.Delete("key").ok());
  for (uint32_t i = 0; i < 50; ++i) ASSERT_TRUE(other.Put("key", Bytes(100'000, i)).ok());
  EXPECT_TRUE(handle->view() == value) << "still pinned after the child has released and exited";
}

TEST_P(AttachTest, AForkedChildCanOpenItsOwn) {
  if (GetParam().in_memory) GTEST_SKIP() << "over plain memory nobody tells two processes apart";
  Client client = Connect();
  ASSERT_TRUE(client.Put("key", "value").ok());
  const int status = RunInChild([&] {
    Client mine = Connect();
    if (Value(mine, "key") != "value" || !mine.Put("from the child", "hello").ok()) return 1;
    mine.Close();
    return 0;
  });
  EXPECT_EQ(status, 0);
  EXPECT_EQ(Value(client, "from the child"), "hello");
  EXPECT_EQ(StatsOf(client).clients, 1u);
}

// One client, eight threads, everything at once; then the segment must be sound and nothing lost.
TEST_P(AttachTest, ThreadsMayShareAClient) {
  options_.max_pins = 64;
  options_.max_objects = 200;
  Client client = Connect();
  const Stats before = StatsOf(client);
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (uint32_t id = 0; id < 8; ++id) {
    threads.emplace_back([&, id] {
      std::mt19937 random(id);
      for (int i = 0; i < 400; ++i) {
        const std::string key = Numbered("key", random() % 10), own = Numbered("own", id);
        switch (random() % 7) {
          case 0:
          case 1:
            wrong += !client.Put(key, key + key).ok();
            break;
          case 2:
            static_cast<void>(client.Delete(key).ok());
            break;
          case 3: {
            const Result<Handle> handle = client.Get(key);
            wrong += handle.ok() ? handle->view() != key + key : handle.code() != Code::kNotFound;
            break;
          }
          case 4: {
            Result<Writer> writer = client.Create(own, 5);
            wrong += writer.ok() ? !writer->Seal().ok() : writer.code() != Code::kAlreadyExists;
            wrong += !client.Delete(own).ok();
            break;
          }
          case 5:
            wrong += !client.List("key").ok() || !client.Contains(key).ok();
            break;
          default: {
            const std::string twice = key + key;
            const BatchItem items[] = {{key, AsBytes(twice), {}}, {own, AsBytes("v"), {}}};
            wrong += !client.PutBatch(items).ok();
          }
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(test::Violations(client.Check()), "");
  for (const auto& [key, value] : test::Content(client)) ASSERT_TRUE(client.Delete(key).ok());
  ASSERT_TRUE(client.Recover().ok());
  EXPECT_EQ(StatsOf(client).bytes_free, before.bytes_free);
}

TEST_P(AttachTest, ManyMayAttachAndLeaveAtOnce) {
  options_.max_clients = 8;
  options_.size = 2 << 20;
  Client first = Connect();
  std::vector<std::thread> threads;
  for (uint32_t id = 0; id < 6; ++id) {
    threads.emplace_back([&, id] {
      for (uint32_t i = 0; i < 20; ++i) {
        Client client = Connect();
        EXPECT_TRUE(client.Put(Numbered("key", id), "value").ok());
        EXPECT_EQ(Value(client, Numbered("key", id)), "value");
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(StatsOf(first).clients, 1u);
  EXPECT_EQ(StatsOf(first).recoveries, 0u) << "nobody was taken for dead";
}

}  // namespace
}  // namespace lightning
