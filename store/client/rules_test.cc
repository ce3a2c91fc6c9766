// Rules 1 to 4 and the order of locks, judged at every store that every operation makes: the code that the compiler
// made, not the one that was written.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <set>
#include <string>
#include <vector>

#include "store/client/core.h"
#include "store/log/words.h"
#include "store/testing/operations.h"
#include "store/testing/store_tracer.h"

namespace lightning {
namespace {

using test::AllOperations;
using test::Operation;
using test::Stage;
using test::StageOptions;

class RulesTest : public testing::TestWithParam<Operation> {
 protected:
  RulesTest() { GetParam().prepare(stage_); }

  // Runs the operation with `hooks` at each of its stores to the control region.
  void Trace(const test::StoreHooks& hooks) {
    const uint64_t size = stage_.memory.geometry().control_end;
    test::TraceStores(stage_.memory.memory(), size, hooks, [&] { GetParam().run(stage_); });
  }
  uint64_t Word(uint64_t offset) const {
    uint64_t word;
    memcpy(&word, segment_.bytes(offset / 8 * 8), sizeof word);
    return word;
  }
  // The lock that covers a cell, where one alone does: rule 1 and layout.h.
  const LockWord* Cover(uint64_t offset) const {
    const Geometry& g = segment_.geometry();
    const Central& central = segment_.central();
    if (offset < g.slots) {
      const bool event =
          offset == segment_.OffsetOf(&central.event_head) || offset == segment_.OffsetOf(&central.subscribers);
      return event ? &central.event_lock : &central.lock;
    }
    if (offset < g.buckets) return &segment_.slot(static_cast<SlotIndex>((offset - g.slots) / g.slot_stride)).lock;
    if (offset < g.buckets + sizeof(Bucket) * g.home_buckets)
      return &segment_.home_at(static_cast<uint32_t>((offset - g.buckets) / sizeof(Bucket))).lock;
    if (offset >= g.block_table && offset < g.events) return &central.lock;
    return nullptr;  // an object, or an overflow bucket: whichever list or chain it is in
  }
  // Where a lock stands in the order that excludes deadlock.
  std::pair<int, uint64_t> Rank(uint64_t offset) const {
    const Geometry& g = segment_.geometry();
    if (offset == segment_.OffsetOf(&segment_.central().event_lock)) return {3, 0};
    if (offset == segment_.OffsetOf(&segment_.central().lock)) return {2, 0};
    return {offset < g.buckets ? 0 : 1, offset};
  }

  Stage stage_{StageOptions()};
  const Segment segment_ = stage_.memory.segment();
};

std::string NameOf(const testing::TestParamInfo<Operation>& info) { return info.param.name; }
INSTANTIATE_TEST_SUITE_P(Operations, RulesTest, testing::ValuesIn(AllOperations()), NameOf);

TEST_P(RulesTest, Rule1EveryChangeIsUnderTheLockThatCoversIt) {
  std::set<uint64_t> uncovered;
  uint64_t cells = 0;
  test::StoreHooks hooks;
  hooks.before = [&](uint64_t offset) {
    if (!segment_.IsCell(offset)) return;
    ++cells;
    const LockWord* const lock = Cover(offset);
    if (lock != nullptr && !LockValue::IsHeld(lock->Load())) uncovered.insert(offset);
  };
  Trace(hooks);
  EXPECT_EQ(uncovered, std::set<uint64_t>{});
  const std::string name = GetParam().name;
  EXPECT_EQ(cells == 0, name == "Get" || name == "Attach") << "readers write nothing that others write (rule 8)";
}

TEST_P(RulesTest, Rule2EveryWriteIsLoggedBeforeItHappens) {
  std::set<uint64_t> uncovered;
  test::StoreHooks hooks;
  hooks.before = [&](uint64_t offset) {
    if (!segment_.IsCell(offset)) return;
    for (SlotIndex s = 0; s < segment_.geometry().max_clients; ++s) {
      const Slot& slot = segment_.slot(s);
      for (uint64_t i = 0; i < slot.log_count.Load(); ++i) {
        if (slot.log[i].offset.Load() == offset) return;
      }
    }
    uncovered.insert(offset);
  };
  Trace(hooks);
  EXPECT_EQ(uncovered, std::set<uint64_t>{});
}

// What undoing would give is at every instant what was there when the transaction began.
TEST_P(RulesTest, Rule2UndoingAtAnyInstantGivesTheStateBefore) {
  std::string committed, wrong;
  const auto image = [&] {
    return std::string(reinterpret_cast<const char*>(stage_.memory.memory()), segment_.geometry().events);
  };
  const auto undone = [&](std::string bytes) {
    for (SlotIndex s = 0; s < segment_.geometry().max_clients; ++s) {
      const Slot& slot = segment_.slot(s);
      for (uint64_t i = slot.log_count.Load(); i-- > 0;) {
        const uint64_t old = slot.log[i].old.Load();
        memcpy(bytes.data() + slot.log[i].offset.Load(), &old, sizeof old);
      }
    }
    return bytes;
  };
  bool in_transaction = false;
  test::StoreHooks hooks;
  hooks.after = [&](uint64_t offset) {
    if (offset >= segment_.geometry().events) return;
    const bool logged = segment_.slot(0).log_count.Load() != 0;
    if (!logged || !in_transaction) {
      committed = undone(image());
    } else {
      const std::string now = undone(image());
      for (uint64_t at = 0; at < now.size() && wrong.empty(); at += 8) {
        if (segment_.IsCell(at) && memcmp(now.data() + at, committed.data() + at, 8) != 0)
          wrong = "the cell at " + std::to_string(at);
      }
    }
    in_transaction = logged;
  };
  Trace(hooks);
  EXPECT_EQ(wrong, "");
}

TEST_P(RulesTest, Rule3LocksAreReleasedAfterTheCommit) {
  uint64_t early = 0, word = 0;
  test::StoreHooks hooks;
  hooks.before = [&](uint64_t offset) { word = Word(offset); };
  hooks.after = [&](uint64_t offset) {
    const bool released = segment_.IsLock(offset) && LockValue::IsHeld(word) && !LockValue::IsHeld(Word(offset));
    if (released) early += segment_.slot(LockValue::OwnerSlot(word)).log_count.Load() != 0;
  };
  Trace(hooks);
  EXPECT_EQ(early, 0u);
}

// Rule 5: who holds a lock, and that its slot lists it, can be told at every instant.
TEST_P(RulesTest, Rule5EveryHeldLockIsListedByItsOwner) {
  std::set<uint64_t> unlisted, held;
  test::StoreHooks hooks;
  hooks.after = [&](uint64_t offset) {
    if (segment_.IsLock(offset)) held.insert(offset);
    for (const uint64_t lock : held) {
      const uint64_t word = Word(lock);
      if (!LockValue::IsHeld(word)) continue;
      const Slot& slot = segment_.slot(LockValue::OwnerSlot(word));
      bool listed = false;
      for (uint64_t i = 0; i < slot.held_count.Load(); ++i) listed |= slot.held[i].Load() == lock;
      if (!listed) unlisted.insert(lock);
    }
  };
  Trace(hooks);
  EXPECT_EQ(unlisted, std::set<uint64_t>{});
}

// Two operations that take locks in one order cannot wait for each other: own slot, buckets by rising address, central,
// events.
TEST_P(RulesTest, LocksAreTakenInTheOrderThatExcludesDeadlock) {
  std::vector<std::string> wrong;
  std::set<uint64_t> held;
  uint64_t word = 0;
  test::StoreHooks hooks;
  hooks.before = [&](uint64_t offset) { word = Word(offset); };
  hooks.after = [&](uint64_t offset) {
    if (!segment_.IsLock(offset)) return;
    if (!LockValue::IsHeld(Word(offset))) {
      held.erase(offset);
      return;
    }
    for (const uint64_t other : held) {
      if (other != offset && Rank(other) > Rank(offset))
        wrong.push_back(std::to_string(offset) + " taken while " + std::to_string(other) + " is held");
    }
    held.insert(offset);
  };
  Trace(hooks);
  EXPECT_EQ(wrong, std::vector<std::string>{});
  EXPECT_TRUE(held.empty());
}

}  // namespace
}  // namespace lightning
