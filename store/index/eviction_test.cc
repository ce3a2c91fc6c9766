#include "store/index/eviction.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "store/testing/testing.h"

namespace lightning {
namespace {

using test::Actor;
using test::MemorySegment;
using test::Poke;
using test::SmallOptions;
using test::World;

class EvictionTest : public testing::Test {
 protected:
  EvictionTest() {
    for (uint32_t i = 1; i <= kObjects; ++i) Make(i, ObjectState::kSealed, 100 + i);
    Poke(memory_.segment().central().object_unused, kObjects);
  }
  void Make(uint32_t id, ObjectState state, uint64_t tick) const {
    const Object& object = memory_.segment().object(ObjectId{id});
    Poke(object.head, ObjectHead{state, false, 1, 0}.Encode());
    Poke(object.size, 64 * id);
    Poke(object.tick, tick);
  }
  ClientPage& page(SlotIndex slot) const {
    return *reinterpret_cast<ClientPage*>(memory_.memory() + memory_.geometry().ClientPageOffset(slot));
  }
  std::vector<uint32_t> Order(uint64_t hand = 0) const {
    PinnedObjects pinned;
    pinned.Collect(memory_.segment());
    uint64_t next = 0;
    std::vector<uint32_t> ids;
    for (const Candidate& candidate : EvictionCandidates(memory_.segment(), pinned, hand, &next))
      ids.push_back(candidate.id.value);
    return ids;
  }

  static constexpr uint32_t kObjects = 6;
  World world_;
  const MemorySegment memory_{SmallOptions()};
  Actor first_{memory_, world_, 0}, second_{memory_, world_, 1};
};

TEST_F(EvictionTest, WhatNobodyReadCountsFromWhenItWasMade) {
  EXPECT_EQ(Order(), (std::vector<uint32_t>{1, 2, 3, 4, 5, 6}));
}

TEST_F(EvictionTest, AReadByAnyClientMakesItYounger) {
  NoteUse(page(0), ObjectId{1}, 500);
  NoteUse(page(1), ObjectId{3}, 400);
  NoteUse(page(0), ObjectId{3}, 300);  // the latest read of all counts
  EXPECT_EQ(Order(), (std::vector<uint32_t>{2, 4, 5, 6, 3, 1}));
}

TEST_F(EvictionTest, AReadOfAnyObjectMakesItTheYoungest) {
  for (uint32_t id = 1; id <= kObjects; ++id) {
    NoteUse(page(0), ObjectId{id}, 500 + id);
    EXPECT_EQ(Order().back(), id);
  }
}

TEST_F(EvictionTest, AReadCountsForItsObjectWhereverTheHandBegins) {
  NoteUse(page(0), ObjectId{1}, 500);
  NoteUse(page(1), ObjectId{5}, 400);
  for (uint64_t hand = 0; hand < 2 * kObjects; ++hand)
    EXPECT_EQ(Order(hand), (std::vector<uint32_t>{2, 3, 4, 6, 5, 1})) << hand;
}

TEST_F(EvictionTest, PinnedAndUnsealedOnesAreNoCandidates) {
  Make(2, ObjectState::kUnsealed, 1);
  Make(3, ObjectState::kRetired, 1);
  Make(4, ObjectState::kFree, 1);
  page(1).pins[0] = 1;
  page(1).pins_used = 1;
  EXPECT_EQ(Order(), (std::vector<uint32_t>{5, 6}));
}

TEST_F(EvictionTest, ReadsOfClientsThatAreGoneAreForgotten) {
  NoteUse(page(3), ObjectId{1}, 900);
  EXPECT_EQ(Order().front(), 1u);
}

TEST_F(EvictionTest, AnyBytesInTheRecencyTablesAreSurvived) {
  memset(static_cast<void*>(page(0).recency), 0xFF, sizeof(ClientPage::recency));
  EXPECT_EQ(Order().size(), kObjects);
}

TEST_F(EvictionTest, TheHandGoesRoundBeginningWhereItIsTold) {
  PinnedObjects pinned;
  uint64_t next = 77;
  EXPECT_EQ(EvictionCandidates(memory_.segment(), pinned, 4, &next).size(), kObjects) << "each once";
  EXPECT_EQ(next, 0u) << "a small segment is looked at whole";
}

}  // namespace
}  // namespace lightning
