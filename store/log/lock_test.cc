// Locks of transactions: rules 5 and 12.
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "store/log/transaction.h"
#include "store/testing/store_tracer.h"
#include "store/testing/testing.h"

namespace lightning {
namespace {

using test::Actor;
using test::MemorySegment;
using test::SmallOptions;
using test::World;

class LockTest : public testing::Test {
 protected:
  const Central& central() const { return memory_segment_.central(); }
  const Cell& cell(uint32_t i) const { return central().bins[i]; }
  const Bucket& home(uint32_t i) const { return memory_segment_.home_at(i); }
  void CommitAtFifthPause(Transaction& holder) {
    world_.on_pause = [&] {
      if (world_.pauses == 5) holder.Commit(0);
    };
  }

  World world_;
  const MemorySegment memory_{SmallOptions()};
  const Segment memory_segment_ = memory_.segment();
  Actor first_{memory_, world_, 0, 7};
  Actor second_{memory_, world_, 1, 9};
};

// Rule 5.
TEST_F(LockTest, ALockWordNamesSlotAndGeneration) {
  Window window(*first_.gate);
  Transaction t(first_.environment, window, 0);
  ASSERT_TRUE(t.Lock(central().lock).ok());
  const uint64_t word = central().lock.Load();
  EXPECT_TRUE(LockValue::IsHeld(word));
  EXPECT_EQ(LockValue::OwnerSlot(word), 0u);
  EXPECT_TRUE(LockValue::IsHeldBy(word, LockValue::Owner(0, 7)));
  EXPECT_FALSE(LockValue::IsHeldBy(word, LockValue::Owner(0, 8))) << "a later client of the slot does not hold it";
  EXPECT_FALSE(LockValue::IsHeldBy(word, LockValue::Owner(1, 7)));
}

// How readers notice that something happened between two looks (rule 8).
TEST_F(LockTest, EachReleaseChangesTheFreeWord) {
  uint64_t last = central().lock.Load();
  for (int i = 0; i < 5; ++i) {
    {
      Window window(*first_.gate);
      Transaction t(first_.environment, window, 0);
      ASSERT_TRUE(t.Lock(central().lock).ok());
    }
    EXPECT_FALSE(LockValue::IsHeld(central().lock.Load()));
    EXPECT_NE(central().lock.Load(), last);
    last = central().lock.Load();
  }
}

TEST_F(LockTest, LockingTwiceIsLockingOnce) {
  Window window(*first_.gate);
  Transaction t(first_.environment, window, 0);
  ASSERT_TRUE(t.Lock(central().lock).ok());
  ASSERT_TRUE(t.Lock(central().lock).ok());
  EXPECT_EQ(t.locks(), 1u);
  t.Commit(0);
  EXPECT_FALSE(t.Holds(central().lock));
}

// The intent stands in the slot before the lock is taken: at no instant is a lock held that the list does not name.
TEST_F(LockTest, AHeldLockIsListedAtEveryInstant) {
  const Slot& slot = first_.slot();
  int unlisted = 0;
  const auto listed = [&](const LockWord& lock) {
    for (uint64_t i = 0; i < slot.held_count.Load(); ++i) {
      if (slot.held[i].Load() == memory_segment_.OffsetOf(&lock)) return true;
    }
    return false;
  };
  test::StoreHooks hooks;
  hooks.after = [&](uint64_t) {
    for (const LockWord* lock : {&slot.lock, &home(1).lock, &home(2).lock, &central().lock})
      unlisted += LockValue::IsHeld(lock->Load()) && !listed(*lock);
  };
  test::TraceStores(memory_.memory(), memory_.size(), hooks, [&] {
    Window window(*first_.gate);
    Transaction t(first_.environment, window, 0);
    for (const LockWord* lock : {&slot.lock, &home(1).lock, &home(2).lock, &central().lock})
      ASSERT_TRUE(t.Lock(*lock).ok());
    t.Set(cell(0), 1);
    t.Commit(2);
    ASSERT_TRUE(t.TryLock(central().lock).ok());
  });
  EXPECT_EQ(unlisted, 0);
  EXPECT_EQ(slot.held_count.Load(), 0u);
}

// Rules 5, 7 and 12: whoever waits for the lock of a dead client undoes its log first, then has the lock.
TEST_F(LockTest, ADeadOwnerIsRolledBackByWhoeverWaits) {
  {
    Window window(*first_.gate);
    auto* leaked = new Transaction(first_.environment, window, 0);  // its client dies here
    ASSERT_TRUE(leaked->Lock(central().lock).ok());
    ASSERT_TRUE(leaked->Lock(central().event_lock).ok());
    leaked->Set(cell(1), 4711);
    ::operator delete(leaked);
  }
  world_.dead[0] = true;
  Window window(*second_.gate);
  Transaction t(second_.environment, window, 1);
  ASSERT_TRUE(t.Lock(central().lock).ok());
  EXPECT_EQ(cell(1).Load(), 0u) << "undone before the lock changed hands";
  EXPECT_FALSE(LockValue::IsHeld(central().event_lock.Load())) << "all its locks are free";
  EXPECT_EQ(SlotState::Decode(first_.slot().state.Load()).life, SlotLife::kRolledBack);
  EXPECT_EQ(second_.environment.to_clean, std::vector<SlotIndex>{0}) << "the rest is noted for later";
  EXPECT_EQ(world_.pauses, 0u) << "and nobody waited";
}

// Rules 7 and 12: never by a timeout, but never forever either.
TEST_F(LockTest, ALivingOwnerThatDoesNotMoveGivesATimeoutAtTheDeadline) {
  Window first_window(*first_.gate);
  Transaction holder(first_.environment, first_window, 0);
  ASSERT_TRUE(holder.Lock(central().lock).ok());
  holder.Set(cell(1), 1);
  Window window(*second_.gate);
  Transaction t(second_.environment, window, 1);
  const int64_t begin = world_.now;
  EXPECT_EQ(t.Lock(central().lock).code(), Code::kTimeout);
  EXPECT_GE(world_.now - begin, second_.environment.lock_timeout.count());
  EXPECT_LT(world_.now - begin, second_.environment.lock_timeout.count() * 11 / 10) << "soon after its deadline";
  EXPECT_TRUE(holder.Holds(central().lock)) << "nothing was taken from it";
  EXPECT_EQ(cell(1).Load(), 1u);
  EXPECT_EQ(t.locks(), 0u);
  EXPECT_EQ(second_.slot().held_count.Load(), 0u);
}

TEST_F(LockTest, AnOwnerThatMovesAgainIsWaitedFor) {
  Window first_window(*first_.gate);
  Transaction holder(first_.environment, first_window, 0);
  ASSERT_TRUE(holder.Lock(central().lock).ok());
  CommitAtFifthPause(holder);
  Window window(*second_.gate);
  Transaction t(second_.environment, window, 1);
  EXPECT_TRUE(t.Lock(central().lock).ok());
  EXPECT_EQ(world_.pauses, 5u);
}

TEST_F(LockTest, TheLongestPatienceHasNoEnd) {
  Window first_window(*first_.gate);
  Transaction holder(first_.environment, first_window, 0);
  ASSERT_TRUE(holder.Lock(central().lock).ok());
  CommitAtFifthPause(holder);
  second_.environment.lock_timeout = Nanoseconds::max();
  Window window(*second_.gate);
  Transaction t(second_.environment, window, 1);
  EXPECT_TRUE(t.Lock(central().lock).ok());
}

TEST_F(LockTest, AnOwnerThatDiesWhileOthersWaitIsHealed) {
  Window first_window(*first_.gate);
  auto* holder = new Transaction(first_.environment, first_window, 0);
  ASSERT_TRUE(holder->Lock(central().lock).ok());
  holder->Set(cell(1), 1);
  ::operator delete(holder);
  world_.on_pause = [&] { world_.dead[0] = world_.pauses >= 3; };
  Window window(*second_.gate);
  Transaction t(second_.environment, window, 1);
  EXPECT_TRUE(t.Lock(central().lock).ok());
  EXPECT_EQ(cell(1).Load(), 0u);
}

TEST_F(LockTest, TryLockNeverWaits) {
  Window first_window(*first_.gate);
  auto* holder = new Transaction(first_.environment, first_window, 0);
  ASSERT_TRUE(holder->Lock(central().lock).ok());
  holder->Set(cell(1), 1);
  Window window(*second_.gate);
  Transaction t(second_.environment, window, 1);
  EXPECT_EQ(t.TryLock(central().lock).code(), Code::kTimeout);
  EXPECT_EQ(world_.pauses, 0u);
  EXPECT_EQ(second_.slot().held_count.Load(), 0u);
  ::operator delete(holder);
  world_.dead[0] = true;
  EXPECT_TRUE(t.TryLock(central().lock).ok()) << "a dead owner is no obstacle";
  EXPECT_EQ(cell(1).Load(), 0u);
}

TEST_F(LockTest, ALockThatNamesNoSlotIsCorrupt) {
  {
    Window window(*first_.gate);
    ASSERT_TRUE(window.CompareExchange(central().lock, central().lock.Load(), LockValue::Owner(999, 1)));
  }
  Window window(*second_.gate);
  Transaction t(second_.environment, window, 1);
  EXPECT_EQ(t.Lock(central().lock).code(), Code::kCorrupt);
  EXPECT_EQ(t.TryLock(central().lock).code(), Code::kCorrupt);
}

// Rule 11, and the order that excludes deadlock: every two transactions that lock in the order of transaction.h end.
TEST_F(LockTest, TransactionsThatKeepTheOrderDoNotDeadlock) {
  world_.real_time = true;
  first_.environment.lock_timeout = second_.environment.lock_timeout = std::chrono::seconds(20);
  const auto run = [&](Actor& actor, uint32_t seed) {
    for (uint32_t i = 0; i < 3000; ++i) {
      Window window(*actor.gate);
      Transaction t(actor.environment, window, actor.environment.self);
      ASSERT_TRUE(t.Lock(actor.slot().lock).ok());
      seed = seed * 1664525 + 1013904223;
      for (uint32_t bucket = 0; bucket < 8; ++bucket) {
        if ((seed >> (8 + bucket) & 1) != 0) {
          ASSERT_TRUE(t.Lock(home(bucket).lock).ok());
        }
      }
      if ((seed >> 20 & 1) != 0) {
        ASSERT_TRUE(t.Lock(central().lock).ok());
      }
      if ((seed >> 21 & 1) == 0) continue;
      ASSERT_TRUE(t.Lock(central().event_lock).ok());
      t.Add(central().event_head, 1);
      t.Commit(0);
    }
  };
  std::thread other([&] { run(second_, 2); });
  run(first_, 1);
  other.join();
  EXPECT_GT(central().event_head.Load(), 0u);
}

// Mutual exclusion itself: no increment is lost.
TEST_F(LockTest, NoTwoTransactionsHoldALockAtOnce) {
  world_.real_time = true;
  first_.environment.lock_timeout = second_.environment.lock_timeout = std::chrono::seconds(20);
  const auto run = [&](Actor& actor) {
    for (int i = 0; i < 20'000; ++i) {
      Window window(*actor.gate);
      Transaction t(actor.environment, window, actor.environment.self);
      ASSERT_TRUE(t.Lock(central().lock).ok());
      t.Add(cell(1), 1);
      t.Commit(0);
    }
  };
  std::thread other([&] { run(second_); });
  run(first_);
  other.join();
  EXPECT_EQ(cell(1).Load(), 40'000u);
}

}  // namespace
}  // namespace lightning
