#include "store/log/transaction.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "store/testing/store_tracer.h"
#include "store/testing/testing.h"

namespace lightning {
namespace {

using test::Actor;
using test::MemorySegment;
using test::SmallOptions;
using test::TraceStores;
using test::World;

class TransactionTest : public testing::Test {
 protected:
  const Central& central() const { return actor_.segment().central(); }
  const Cell& cell(uint32_t i) const { return central().bins[i]; }
  std::string Image() const { return {reinterpret_cast<const char*>(memory_.memory()), memory_.size()}; }

  World world_;
  const MemorySegment memory_{SmallOptions()};
  Actor actor_{memory_, world_, 0};
};

TEST_F(TransactionTest, WhatIsCommittedStays) {
  {
    Window window(*actor_.gate);
    Transaction t(actor_.environment, window, 0);
    ASSERT_TRUE(t.Lock(central().lock).ok());
    t.Set(cell(1), 11);
    t.Set({{cell(2), 22}, {cell(3), 33}});
    t.Add(cell(1), 1);
    t.Commit(0);
  }
  EXPECT_EQ(cell(1).Load(), 12u);
  EXPECT_EQ(cell(2).Load(), 22u);
  EXPECT_EQ(cell(3).Load(), 33u);
  EXPECT_EQ(actor_.slot().log_count.Load(), 0u);
  EXPECT_FALSE(LockValue::IsHeld(central().lock.Load()));
}

TEST_F(TransactionTest, WhatIsNotCommittedIsUndoneWhenItGoesAway) {
  {
    Window window(*actor_.gate);
    Transaction t(actor_.environment, window, 0);
    ASSERT_TRUE(t.Lock(central().lock).ok());
    t.Set(cell(1), 1);
    t.Commit(1);
    t.Set(cell(1), 2);
    t.Set(cell(1), 3);  // twice: the older value counts
    t.Set({{cell(2), 4}, {cell(3), 5}});
  }
  EXPECT_EQ(cell(1).Load(), 1u) << "the last committed value";
  EXPECT_EQ(cell(2).Load(), 0u);
  EXPECT_EQ(cell(3).Load(), 0u);
  EXPECT_EQ(actor_.slot().log_count.Load(), 0u);
  EXPECT_FALSE(LockValue::IsHeld(central().lock.Load()));
}

TEST_F(TransactionTest, RollbackKeepsTheLocksItIsTold) {
  Window window(*actor_.gate);
  Transaction t(actor_.environment, window, 0);
  ASSERT_TRUE(t.Lock(actor_.slot().lock).ok());
  ASSERT_TRUE(t.Lock(central().lock).ok());
  t.Set(cell(1), 1);
  t.Rollback(1);
  EXPECT_EQ(cell(1).Load(), 0u);
  EXPECT_TRUE(t.Holds(actor_.slot().lock));
  EXPECT_FALSE(t.Holds(central().lock));
  EXPECT_EQ(t.locks(), 1u);
}

// Rule 2: the entry is complete before the count that covers it, the count before the write that it undoes. Judged at
// every store of the code that the compiler made, for single writes and for several at once.
TEST_F(TransactionTest, EveryWriteIsCoveredByTheLogBeforeItHappens) {
  const Segment& segment = actor_.segment();
  const Slot& slot = actor_.slot();
  std::vector<uint64_t> uncovered;
  uint64_t cells = 0;
  test::StoreHooks hooks;
  hooks.before = [&](uint64_t offset) {
    if (!segment.IsCell(offset)) return;
    ++cells;
    bool covered = false;
    uint64_t now;
    memcpy(&now, segment.bytes(offset), sizeof now);
    for (uint64_t i = 0; i < slot.log_count.Load(); ++i)
      covered |= slot.log[i].offset.Load() == offset && slot.log[i].old.Load() == now;
    if (!covered) uncovered.push_back(offset);
  };
  TraceStores(memory_.memory(), memory_.size(), hooks, [&] {
    Window window(*actor_.gate);
    Transaction t(actor_.environment, window, 0);
    ASSERT_TRUE(t.Lock(central().lock).ok());
    for (uint32_t i = 0; i < 20; ++i) t.Set(cell(i), i + 1);
    t.Set({{cell(30), 1}, {cell(31), 2}, {cell(32), 3}});
    t.Add(cell(3), 7);
    t.Commit(0);
  });
  EXPECT_EQ(uncovered, std::vector<uint64_t>{});
  EXPECT_EQ(cells, 24u);
}

// Rule 2, from the other side: at no store does the log cover an entry that is not complete.
TEST_F(TransactionTest, TheCountNeverCoversAnEntryThatIsNotComplete) {
  const MemorySegment start(memory_);
  const Slot& slot = actor_.slot();
  int wrong = 0;
  test::StoreHooks hooks;
  hooks.after = [&](uint64_t) {
    for (uint64_t i = 0; i < slot.log_count.Load(); ++i) {
      const uint64_t offset = slot.log[i].offset.Load();
      uint64_t old;
      memcpy(&old, start.memory() + offset, sizeof old);
      wrong += !actor_.segment().IsCell(offset) || slot.log[i].old.Load() != old;
    }
  };
  TraceStores(memory_.memory(), memory_.size(), hooks, [&] {
    Window window(*actor_.gate);
    Transaction t(actor_.environment, window, 0);
    ASSERT_TRUE(t.Lock(central().lock).ok());
    for (uint32_t i = 0; i < 10; ++i) t.Set(cell(i), 100 + i);
    t.Set({{cell(20), 1}, {cell(21), 2}});
    t.Commit(0);
  });
  EXPECT_EQ(wrong, 0);
}

// Rule 3: one store of zero to the count, and locks are released after it.
TEST_F(TransactionTest, LocksAreReleasedAfterTheCommitPoint) {
  const Slot& slot = actor_.slot();
  int released_early = 0, commits = 0, releases = 0;
  uint64_t count_before = 0, lock_before = 0;
  test::StoreHooks hooks;
  hooks.before = [&](uint64_t) {
    count_before = slot.log_count.Load();
    lock_before = central().lock.Load();
  };
  hooks.after = [&](uint64_t) {
    commits += count_before != 0 && slot.log_count.Load() == 0;
    const bool released = LockValue::IsHeld(lock_before) && !LockValue::IsHeld(central().lock.Load());
    releases += released;
    released_early += released && slot.log_count.Load() != 0;
    EXPECT_TRUE(count_before <= slot.log_count.Load() || slot.log_count.Load() == 0)
        << "the count falls to zero at once";
  };
  TraceStores(memory_.memory(), memory_.size(), hooks, [&] {
    Window window(*actor_.gate);
    Transaction t(actor_.environment, window, 0);
    ASSERT_TRUE(t.Lock(central().lock).ok());
    for (uint32_t i = 0; i < 5; ++i) t.Set(cell(i), 1);
    t.Commit(0);
  });
  EXPECT_EQ(commits, 1);
  EXPECT_EQ(releases, 1);
  EXPECT_EQ(released_early, 0);
}

// Rule 4: more entries than there is room for end the process before anything is written beside the log.
TEST_F(TransactionTest, MoreEntriesThanTheLogHoldsEndTheProcess) {
  Window window(*actor_.gate);
  Transaction t(actor_.environment, window, 0);
  ASSERT_TRUE(t.Lock(central().lock).ok());
  for (uint32_t i = 0; i < kLogCapacity; ++i) t.Set(cell(0), i + 1);
  EXPECT_DEATH(t.Set(cell(0), 0), "state is not sound");
  EXPECT_DEATH(t.Set({{cell(1), 0}}), "state is not sound");
  t.Rollback(0);
  EXPECT_EQ(cell(0).Load(), 0u);
}

TEST_F(TransactionTest, ARollbackLeavesNoTraceInTheControlState) {
  const std::string before = Image();
  {
    Window window(*actor_.gate);
    Transaction t(actor_.environment, window, 0);
    ASSERT_TRUE(t.Lock(central().lock).ok());
    for (uint32_t i = 0; i < kBins; ++i) t.Set(cell(i), i + 1);
  }
  const std::string after = Image();
  for (uint64_t offset = 0; offset < before.size(); offset += 8) {
    if (!actor_.segment().IsCell(offset)) continue;
    EXPECT_EQ(memcmp(before.data() + offset, after.data() + offset, 8), 0) << offset;
  }
}

TEST_F(TransactionTest, ActivityIsOddInsideAndEvenOutside) {
  const uint64_t before = actor_.slot().activity.Load();
  EXPECT_EQ(before % 2, 0u);
  {
    Window window(*actor_.gate);
    const Transaction t(actor_.environment, window, 0);
    EXPECT_EQ(actor_.slot().activity.Load() % 2, 1u);
  }
  EXPECT_EQ(actor_.slot().activity.Load() % 2, 0u);
  EXPECT_NE(actor_.slot().activity.Load(), before) << "who looked before and after sees that something happened";
}

}  // namespace
}  // namespace lightning
