// What a dead client leaves behind, and that all of it comes back: rules 8, 10 and 12. Deaths are simulated: the client
// is let go without its destructor, and the kernel of the test says that it is dead.
#include "store/client/cleanup.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "store/client/core.h"
#include "store/log/words.h"
#include "store/testing/testing.h"

namespace lightning {
namespace {

using test::Abandon;
using test::MemorySegment;
using test::Numbered;
using test::SmallOptions;
using test::Value;
using test::Violations;
using test::World;

class CleanupTest : public testing::Test {
 protected:
  Client Attach() { return std::move(*memory_.Attach(world_)); }
  static SlotIndex SlotOf(const Client& client) { return ClientCore::Of(client)->environment().self; }
  // The client dies where it stands.
  void Kill(Client client) {
    const SlotIndex slot = SlotOf(client);
    Abandon(std::move(client));
    world_.dead[slot] = true;
  }
  void ExpectSound() { EXPECT_EQ(Violations(memory_.Check(world_)), ""); }

  World world_;
  const MemorySegment memory_{SmallOptions()};
  Client survivor_ = Attach();
};

TEST_F(CleanupTest, WhatItHadSealedStays) {
  Client victim = Attach();
  ASSERT_TRUE(victim.Put("key", "value").ok());
  Kill(std::move(victim));
  const Result<RecoveryReport> report = survivor_.Recover();
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->recovered, 1u);
  EXPECT_EQ(report->alive, 1u);
  EXPECT_EQ(Value(survivor_, "key"), "value");
  EXPECT_EQ(survivor_.GetStats()->recoveries, 1u);
  EXPECT_EQ(survivor_.GetStats()->clients, 1u);
  ExpectSound();
}

// Rule 10.
TEST_F(CleanupTest, WhatItHadNotSealedIsAborted) {
  const Stats before = *survivor_.GetStats();
  Client victim = Attach();
  for (const uint64_t size : {uint64_t{10}, uint64_t{0}, uint64_t{100'000}})
    Abandon(std::move(*victim.Create(Numbered("unsealed", size), size)));
  EXPECT_EQ(survivor_.GetStats()->objects, 3u);
  Kill(std::move(victim));
  ASSERT_TRUE(survivor_.Recover().ok());
  const Stats after = *survivor_.GetStats();
  EXPECT_EQ(after.objects, 0u);
  EXPECT_EQ(after.bytes_free, before.bytes_free);
  EXPECT_TRUE(survivor_.Put("unsealed10", "mine now").ok());
  ExpectSound();
}

// Rule 12: nobody need ask for recovery; whoever meets the key heals it.
TEST_F(CleanupTest, TheNextWriterOfAKeyTakesItFromADeadCreator) {
  for (int way = 0; way < 4; ++way) {
    Client victim = Attach();
    Abandon(std::move(*victim.Create("key", 10)));
    EXPECT_EQ(survivor_.Put("key", "x").code(), Code::kBeingCreated) << "while it lives";
    Kill(std::move(victim));
    const BatchItem items[] = {{"key", AsBytes("value"), {}}};
    switch (way) {
      case 0:
        EXPECT_TRUE(survivor_.Put("key", "value").ok());
        break;
      case 1:
        EXPECT_TRUE(survivor_.PutBatch(items).ok());
        break;
      case 2:
        EXPECT_EQ(survivor_.Delete("key").code(), Code::kNotFound);
        break;
      default:
        EXPECT_TRUE(survivor_.Create("key", 5)->Seal().ok());
    }
    static_cast<void>(survivor_.Delete("key").ok());
    EXPECT_EQ(survivor_.GetStats()->recoveries, static_cast<uint64_t>(way) + 1);
    ExpectSound();
  }
}

// Rule 8: a dead client's pins vanish with its slot.
TEST_F(CleanupTest, ItsPinsAreDropped) {
  const Stats before = *survivor_.GetStats();
  ASSERT_TRUE(survivor_.Put("key", std::string(100'000, 'v')).ok());
  Client victim = Attach();
  Abandon(std::move(*victim.Get("key")));
  ASSERT_TRUE(survivor_.Delete("key").ok());
  EXPECT_NE(survivor_.GetStats()->bytes_retired, 0u) << "pinned";
  Kill(std::move(victim));
  ASSERT_TRUE(survivor_.Recover().ok());
  EXPECT_EQ(survivor_.GetStats()->bytes_free, before.bytes_free);
  ExpectSound();
}

TEST_F(CleanupTest, WhatItHadAtHandAndRetiredComesBack) {
  const Stats before = *survivor_.GetStats();
  Client victim = Attach();
  for (uint32_t i = 0; i < 30; ++i) ASSERT_TRUE(victim.Put(Numbered("key", i % 7), std::string(i * 50, 'v')).ok());
  for (uint32_t i = 0; i < 7; ++i) ASSERT_TRUE(victim.Delete(Numbered("key", i)).ok());
  Kill(std::move(victim));
  ASSERT_TRUE(survivor_.Recover().ok());
  const Stats after = *survivor_.GetStats();
  EXPECT_EQ(after.bytes_free, before.bytes_free);
  EXPECT_EQ(after.largest_free, before.largest_free);
  EXPECT_EQ(after.bytes_retired, 0u);
  ExpectSound();
}

// What it had retired and somebody else still reads: it becomes an orphan, and goes back after its last reader.
TEST_F(CleanupTest, WhatOthersStillReadBecomesAnOrphan) {
  const Stats before = *survivor_.GetStats();
  Client victim = Attach();
  ASSERT_TRUE(victim.Put("key", std::string(5000, 'v')).ok());
  Result<Handle> handle = survivor_.Get("key");
  ASSERT_TRUE(victim.Delete("key").ok());
  Kill(std::move(victim));
  ASSERT_TRUE(survivor_.Recover().ok());
  EXPECT_EQ(handle->view(), std::string(5000, 'v'));
  EXPECT_EQ(survivor_.GetStats()->bytes_retired, 5056u);
  ExpectSound();
  handle->Release();
  ASSERT_TRUE(survivor_.Recover().ok());
  EXPECT_EQ(survivor_.GetStats()->bytes_retired, 0u);
  EXPECT_EQ(survivor_.GetStats()->bytes_free, before.bytes_free);
}

TEST_F(CleanupTest, AFullSegmentHealsTheDeadBeforeItSaysSo) {
  Client victim = Attach();
  const uint64_t total = survivor_.GetStats()->bytes_total;
  Abandon(std::move(*victim.Create("unsealed", total / 2)));
  EXPECT_EQ(survivor_.Put("key", std::string(total, 'v')).code(), Code::kSegmentFull);
  Kill(std::move(victim));
  EXPECT_TRUE(survivor_.Put("key", std::string(total, 'v')).ok());
  ExpectSound();
}

TEST_F(CleanupTest, AnAttachWithoutAFreeSlotHealsTheDead) {
  std::vector<Client> clients;
  while (clients.size() + 1 < SmallOptions().max_clients) clients.push_back(Attach());
  EXPECT_EQ(memory_.Attach(world_).code(), Code::kTooManyClients);
  for (Client& client : clients) Kill(std::move(client));
  for (uint32_t i = 1; i < SmallOptions().max_clients; ++i) EXPECT_TRUE(memory_.Attach(world_).ok()) << i;
  EXPECT_EQ(survivor_.GetStats()->recoveries, SmallOptions().max_clients - 1) << "several dead at once";
  ExpectSound();
}

TEST_F(CleanupTest, ADeadSubscriberIsNoLongerWrittenFor) {
  Client victim = Attach();
  Abandon(std::move(*victim.Subscribe()));
  Abandon(std::move(*victim.Subscribe()));
  ASSERT_TRUE(survivor_.Put("key", "v").ok());
  const Central& central = memory_.segment().central();
  EXPECT_EQ(central.subscribers.Load(), 2u);
  EXPECT_EQ(central.event_head.Load(), 1u);
  Kill(std::move(victim));
  ASSERT_TRUE(survivor_.Recover().ok());
  EXPECT_EQ(central.subscribers.Load(), 0u);
  ASSERT_TRUE(survivor_.Put("key", "w").ok());
  EXPECT_EQ(central.event_head.Load(), 1u) << "nobody listens, nobody pays";
  ExpectSound();
}

// Rules 7 and 12: a client that is stopped with a lock in its hand is alive: others get an error at their deadline.
TEST_F(CleanupTest, AStoppedClientIsNotRecovered) {
  Client stopped = Attach();
  ASSERT_TRUE(stopped.Put("key", "value").ok());
  const SlotIndex slot = SlotOf(stopped);
  const LockWord& lock = memory_.segment().home(Key(memory_.segment(), "key").hash).lock;
  const uint64_t free = lock.Load();
  test::Poke(lock, LockValue::Taken(free, LockValue::Owner(slot, 1)));
  EXPECT_EQ(survivor_.Put("key", "mine").code(), Code::kTimeout);
  EXPECT_EQ(survivor_.Delete("key", std::chrono::milliseconds(5)).code(), Code::kTimeout);
  EXPECT_EQ(survivor_.Get("key").code(), Code::kTimeout);
  EXPECT_EQ(survivor_.List().code(), Code::kTimeout);
  EXPECT_EQ(survivor_.Recover()->recovered, 0u);
  EXPECT_TRUE(LockValue::IsHeld(lock.Load()));
  test::Poke(lock, LockValue::Freed(free));  // it goes on
  EXPECT_EQ(Value(survivor_, "key"), "value");
  EXPECT_TRUE(survivor_.Put("key", "mine").ok());
  ExpectSound();
}

TEST_F(CleanupTest, TheTimeoutOfACallIsItsOwn) {
  Client stopped = Attach();
  const LockWord& lock = memory_.segment().home(Key(memory_.segment(), "key").hash).lock;
  const uint64_t free = lock.Load();
  test::Poke(lock, LockValue::Taken(free, LockValue::Owner(SlotOf(stopped), 1)));
  int64_t begin = world_.now;
  EXPECT_EQ(survivor_.Put("key", "v", {{}, std::chrono::milliseconds(7)}).code(), Code::kTimeout);
  EXPECT_GE(world_.now - begin, 7'000'000);
  EXPECT_LT(world_.now - begin, 9'000'000);
  begin = world_.now;
  EXPECT_EQ(survivor_.Put("key", "v").code(), Code::kTimeout);
  EXPECT_GE(world_.now - begin, 1'000'000'000) << "else the client's lock_timeout";
  test::Poke(lock, LockValue::Freed(free));
}

}  // namespace
}  // namespace lightning
