// The first half of recovery: rules 5, 6 and 7.
#include "store/log/recovery.h"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <unordered_set>
#include <vector>

#include "store/log/transaction.h"
#include "store/testing/store_tracer.h"
#include "store/testing/testing.h"

namespace lightning {
namespace {

using test::Actor;
using test::MemorySegment;
using test::SmallOptions;
using test::StoreHooks;
using test::TraceStores;
using test::World;

using Image = std::unique_ptr<MemorySegment>;

// A transaction of slot 0 over cells of the centre, of a bucket and of its own slot, in two committed steps.
void Work(Actor& actor) {
  const Segment& segment = actor.segment();
  Window window(*actor.gate);
  Transaction t(actor.environment, window, 0);
  ASSERT_TRUE(t.Lock(actor.slot().lock).ok());
  ASSERT_TRUE(t.Lock(segment.home_at(3).lock).ok());
  t.Set(segment.home_at(3).versions, 1);
  t.Set({{segment.home_at(3).entry(0), 2}, {actor.slot().credits, 3}});
  t.Commit(2);
  ASSERT_TRUE(t.Lock(segment.central().lock).ok());
  t.Set(segment.central().bins[0], 4);
  t.Set(segment.central().bins[0], 5);
  t.Set({{segment.home_at(3).versions, 6}, {segment.home_at(3).entry(0), 0}, {segment.central().bins[1], 7}});
  t.Commit(0);
}

// The cells that Work changes.
std::vector<uint64_t> Cells(const Segment& segment) {
  return {segment.home_at(3).versions.Load(), segment.home_at(3).entry(0).Load(), segment.slot(0).credits.Load(),
          segment.central().bins[0].Load(), segment.central().bins[1].Load()};
}

bool AnyLockHeld(const Segment& segment) {
  bool held =
      LockValue::IsHeld(segment.central().lock.Load()) || LockValue::IsHeld(segment.central().event_lock.Load());
  for (uint32_t i = 0; i < segment.geometry().home_buckets; ++i)
    held |= LockValue::IsHeld(segment.home_at(i).lock.Load());
  for (SlotIndex i = 0; i < segment.geometry().max_clients; ++i) held |= LockValue::IsHeld(segment.slot(i).lock.Load());
  return held;
}

class RecoveryTest : public testing::Test {
 protected:
  const std::vector<uint64_t> before_{0, 0, 0, 0, 0}, middle_{1, 2, 3, 0, 0}, after_{6, 0, 3, 5, 7};

  // The distinct states of the memory after each store of `body`.
  static std::vector<Image> CrashStates(const MemorySegment& memory, const std::function<void()>& body) {
    std::vector<Image> images;
    std::unordered_set<size_t> seen;
    StoreHooks hooks;
    hooks.after = [&](uint64_t) {
      const std::string_view bytes(reinterpret_cast<const char*>(memory.memory()), memory.geometry().heap);
      if (seen.insert(std::hash<std::string_view>()(bytes)).second)
        images.push_back(std::make_unique<MemorySegment>(memory));
    };
    TraceStores(memory.memory(), memory.size(), hooks, body);
    return images;
  }
  // Expects an image after recovery: one of the three states, nothing held, nothing logged.
  void ExpectWhole(const MemorySegment& memory, size_t state) const {
    const Segment segment = memory.segment();
    const std::vector<uint64_t> cells = Cells(segment);
    EXPECT_TRUE(cells == before_ || cells == middle_ || cells == after_) << "crash state " << state;
    EXPECT_FALSE(AnyLockHeld(segment)) << "crash state " << state;
    EXPECT_EQ(segment.slot(0).log_count.Load(), 0u) << "crash state " << state;
    EXPECT_EQ(segment.slot(0).held_count.Load(), 0u) << "crash state " << state;
    EXPECT_EQ(segment.slot(0).activity.Load() % 2, 0u) << "crash state " << state;
  }
  static Result<bool> RollBack(Actor& actor, SlotIndex victim) {
    Window window(*actor.gate);
    return Recovery(actor.environment, window).RollBack(victim);
  }

  World world_;
  const MemorySegment memory_{SmallOptions()};
};

TEST_F(RecoveryTest, ADeathAfterAnyStoreLeavesTheWorkWholeOrNotAtAll) {
  Actor victim(memory_, world_, 0);
  const std::vector<Image> states = CrashStates(memory_, [&] { Work(victim); });
  ASSERT_GT(states.size(), 40u);
  std::vector<std::vector<uint64_t>> outcomes;
  for (size_t i = 0; i < states.size(); ++i) {
    Actor survivor(*states[i], world_, 1);
    world_.dead[0] = true;
    const Result<bool> done = RollBack(survivor, 0);
    ASSERT_TRUE(done.ok() && *done);
    ExpectWhole(*states[i], i);
    if (outcomes.empty() || outcomes.back() != Cells(states[i]->segment()))
      outcomes.push_back(Cells(states[i]->segment()));
  }
  EXPECT_EQ(outcomes, (std::vector{before_, middle_, after_})) << "each commit point is passed once";
}

// Rule 6: the recoverer dies too, after any of its stores, and so does the one that comes after it.
TEST_F(RecoveryTest, ARecovererMayDieAfterAnyStoreAndAnotherOneFinishes) {
  Actor victim(memory_, world_, 0);
  const std::vector<Image> states = CrashStates(memory_, [&] { Work(victim); });
  size_t judged = 0;
  for (size_t i = 0; i < states.size(); i += 3) {
    MemorySegment image(*states[i]);
    world_.dead[1] = false;
    Actor recoverer(image, world_, 1);
    world_.dead[0] = true;
    const std::vector<Image> second = CrashStates(image, [&] { ASSERT_TRUE(RollBack(recoverer, 0).ok()); });
    world_.dead[1] = true;
    for (size_t k = 0; k < second.size(); ++k) {
      Actor next(*second[k], world_, 2);
      const bool third_dies = k % 4 == 0;
      if (third_dies) {
        const std::vector<Image> third = CrashStates(*second[k], [&] { ASSERT_TRUE(RollBack(next, 0).ok()); });
        world_.dead[2] = true;
        for (const Image& last_image : third) {
          Actor last(*last_image, world_, 3);
          const Result<bool> done = RollBack(last, 0);
          ASSERT_TRUE(done.ok() && *done);
          ExpectWhole(*last_image, i);
          ++judged;
        }
        world_.dead[2] = false;
      }
      const Result<bool> done = RollBack(next, 0);
      ASSERT_TRUE(done.ok() && *done) << "state " << i << ", recoverer's state " << k;
      ExpectWhole(*second[k], i);
      ++judged;
    }
  }
  EXPECT_GT(judged, 100u);
}

TEST_F(RecoveryTest, RollingBackTwiceIsRollingBackOnce) {
  Actor victim(memory_, world_, 0);
  const std::vector<Image> states = CrashStates(memory_, [&] { Work(victim); });
  MemorySegment& image = *states[states.size() - 8];
  Actor survivor(image, world_, 1);
  world_.dead[0] = true;
  ASSERT_TRUE(*RollBack(survivor, 0));
  const std::vector<uint64_t> once = Cells(image.segment());
  ASSERT_TRUE(*RollBack(survivor, 0)) << "the slot holds nothing any more";
  EXPECT_EQ(Cells(image.segment()), once);
}

// Rule 7.
TEST_F(RecoveryTest, ALivingClientIsNotTouched) {
  Actor victim(memory_, world_, 0);
  Actor survivor(memory_, world_, 1);
  Window window(*victim.gate);
  Transaction t(victim.environment, window, 0);
  ASSERT_TRUE(t.Lock(memory_.segment().central().lock).ok());
  t.Set(memory_.segment().central().bins[0], 4);
  const Result<bool> done = RollBack(survivor, 0);
  ASSERT_TRUE(done.ok());
  EXPECT_FALSE(*done);
  EXPECT_EQ(memory_.segment().central().bins[0].Load(), 4u);
  EXPECT_TRUE(t.Holds(memory_.segment().central().lock));
}

// Rule 5: a takeover publishes owner and victim in one word, and the claim stands while its holder lives.
TEST_F(RecoveryTest, AClaimExcludesOthersWhileItsHolderLives) {
  Actor victim(memory_, world_, 0);
  Actor first(memory_, world_, 1, 5), second(memory_, world_, 2);
  world_.dead[0] = true;
  Window window(*first.gate);
  Recovery recovery(first.environment, window);
  ASSERT_TRUE(*recovery.Claim(0));
  const SlotState state = SlotState::Decode(victim.slot().state.Load());
  EXPECT_EQ(state.life, SlotLife::kRecovering);
  EXPECT_EQ(state.recoverer, 1u);
  EXPECT_EQ(state.recoverer_generation, 5u);
  EXPECT_EQ(state.generation, 1u) << "the victim's own";
  EXPECT_FALSE(*RollBack(second, 0));
  world_.dead[1] = true;
  EXPECT_TRUE(*RollBack(second, 0)) << "taken over";
  EXPECT_EQ(SlotState::Decode(victim.slot().state.Load()).life, SlotLife::kRolledBack);
}

// The recoverer's slot was given to another client since: the claim is a dead one's, though the slot is in use.
TEST_F(RecoveryTest, AClaimOfAnEarlierClientOfASlotIsTakenOver) {
  Actor victim(memory_, world_, 0);
  world_.dead[0] = true;
  {
    Actor first(memory_, world_, 1, 5);
    Window window(*first.gate);
    ASSERT_TRUE(*Recovery(first.environment, window).Claim(0));
  }
  Actor later(memory_, world_, 1, 6);  // lives
  Actor second(memory_, world_, 2);
  EXPECT_TRUE(*RollBack(second, 0));
}

TEST_F(RecoveryTest, LocksOfOthersAreLeftAlone) {
  Actor victim(memory_, world_, 0), other(memory_, world_, 2);
  const Segment segment = memory_.segment();
  Window other_window(*other.gate);
  Transaction holder(other.environment, other_window, 2);
  ASSERT_TRUE(holder.Lock(segment.home_at(4).lock).ok());
  {
    // The victim died between noting its intent and taking the lock.
    Window window(*victim.gate);
    window.Store(victim.slot().held[0], segment.OffsetOf(&segment.home_at(4).lock));
    window.Store(victim.slot().held_count, 1);
  }
  Actor survivor(memory_, world_, 1);
  world_.dead[0] = true;
  ASSERT_TRUE(*RollBack(survivor, 0));
  EXPECT_TRUE(holder.Holds(segment.home_at(4).lock));
  EXPECT_EQ(victim.slot().held_count.Load(), 0u);
}

TEST_F(RecoveryTest, SeveralDeadClientsAreEachRolledBack) {
  Actor first(memory_, world_, 0), second(memory_, world_, 1), survivor(memory_, world_, 2);
  const Segment segment = memory_.segment();
  for (Actor* actor : {&first, &second}) {
    Window window(*actor->gate);
    auto* t = new Transaction(actor->environment, window, actor->environment.self);
    ASSERT_TRUE(t->Lock(segment.home_at(actor->environment.self).lock).ok());
    t->Set(segment.home_at(actor->environment.self).versions, 99);
    ::operator delete(t);
  }
  world_.dead[0] = world_.dead[1] = true;
  ASSERT_TRUE(*RollBack(survivor, 0));
  EXPECT_EQ(segment.home_at(1).versions.Load(), 99u) << "one at a time";
  ASSERT_TRUE(*RollBack(survivor, 1));
  EXPECT_EQ(segment.home_at(0).versions.Load(), 0u);
  EXPECT_EQ(segment.home_at(1).versions.Load(), 0u);
  EXPECT_FALSE(AnyLockHeld(segment));
  EXPECT_EQ(survivor.environment.to_clean, (std::vector<SlotIndex>{0, 1}));
}

// A log that is no log is refused, and nothing is changed, not even the claim.
class CorruptLogTest : public RecoveryTest {
 protected:
  void ExpectRefused() {
    Actor survivor(memory_, world_, 1);
    world_.dead[0] = true;
    const std::string before(reinterpret_cast<const char*>(memory_.memory()), memory_.size());
    EXPECT_EQ(RollBack(survivor, 0).code(), Code::kCorrupt);
    EXPECT_EQ(before, std::string(reinterpret_cast<const char*>(memory_.memory()), memory_.size()));
  }
  void WriteLog(uint64_t count, const std::vector<std::pair<uint64_t, uint64_t>>& entries) {
    Window window(*victim_.gate);
    for (size_t i = 0; i < entries.size(); ++i) {
      window.Store(victim_.slot().log[i].offset, entries[i].first);
      window.Store(victim_.slot().log[i].old, entries[i].second);
    }
    window.Store(victim_.slot().log_count, count);
  }
  uint64_t SoundOffset() const { return memory_.segment().OffsetOf(&memory_.segment().central().bins[7]); }

  Actor victim_{memory_, world_, 0};
};

TEST_F(CorruptLogTest, MoreEntriesThanThereIsRoomForAreRefused) {
  WriteLog(kLogCapacity + 1, {{SoundOffset(), 1}});
  ExpectRefused();
  WriteLog(~uint64_t{0}, {{SoundOffset(), 1}});
  ExpectRefused();
}

TEST_F(CorruptLogTest, OneEntryThatNamesNoCellIsEnoughToRefuseAll) {
  const Segment segment = memory_.segment();
  for (const uint64_t bad :
       {uint64_t{0}, uint64_t{8}, SoundOffset() + 1, segment.OffsetOf(&segment.central().lock),
        segment.OffsetOf(&segment.slot(2).log_count), memory_.geometry().heap, memory_.size(), ~uint64_t{0}}) {
    WriteLog(3, {{SoundOffset(), 5}, {bad, 6}, {SoundOffset(), 7}});
    ExpectRefused();
  }
}

TEST_F(CorruptLogTest, RandomLogsAreRefusedOrUndoneWithinTheCells) {
  std::mt19937_64 random(1);
  int refused = 0;
  for (int round = 0; round < 500; ++round) {
    MemorySegment image(memory_);
    Actor victim(image, world_, 0), survivor(image, world_, 1);
    world_.dead[0] = true;
    {
      Window window(*victim.gate);
      const uint64_t count = random() % 4 + (round % 10 == 0 ? kLogCapacity : 0);
      for (uint64_t i = 0; i < 4; ++i) {
        const bool sound = random() % 4 != 0;
        window.Store(victim.slot().log[i].offset, sound ? SoundOffset() : random() >> random() % 64);
        window.Store(victim.slot().log[i].old, random());
      }
      window.Store(victim.slot().log_count, count);
      window.Store(victim.slot().held_count, random());
      for (uint32_t i = 0; i < kMaxHeldLocks; ++i) window.Store(victim.slot().held[i], random() >> random() % 64);
    }
    refused += !RollBack(survivor, 0).ok();
    EXPECT_EQ(memcmp(image.memory(), memory_.memory(), kPageSize), 0) << "the superblock stands";
    EXPECT_EQ(memcmp(image.segment().bytes(image.geometry().heap), memory_.segment().bytes(image.geometry().heap),
                     image.size() - image.geometry().heap),
              0)
        << "and so does the heap";
  }
  EXPECT_GT(refused, 50);
  EXPECT_LT(refused, 450);
}

}  // namespace
}  // namespace lightning
