#include "faults/check/image_checker.h"

#include <gtest/gtest.h>

#include <cstring>

#include "faults/engine/victim.h"
#include "store/client/core.h"
#include "store/log/words.h"

namespace lightning::faults {
namespace {

// A segment in memory as the step engine has it at the first marker of put-replace, but in one process.
class ImageCheckerTest : public testing::Test {
 protected:
  void SetUp() override {
    Result<Client> bystander = memory_.Attach(), victim = memory_.Attach();
    ASSERT_TRUE(bystander.ok() && victim.ok());
    bystander_.emplace(std::move(*bystander));
    victim_.emplace(std::move(*victim));
    ASSERT_EQ(DoSetup(*bystander_, plan_.bystander, &held_), "");
    JudgeOptions options;
    options.bystander = SlotOf(*bystander_);
    options.pinned = PinnedObjects(plan_.bystander, held_);
    ASSERT_EQ(DoSetup(*victim_, plan_.victim, &held_), "");
    checker_.emplace(plan_, memory_.segment().geometry(), options);
    ASSERT_EQ(checker_->Begin(memory_.data()), "");
  }
  // The image with one byte of what `place` points at changed.
  std::string CheckChanged(const void* place, int byte) {
    std::vector<std::byte> image(memory_.data(), memory_.data() + memory_.segment().geometry().size);
    const uint64_t offset = memory_.segment().OffsetOf(place);
    image[offset] = static_cast<std::byte>(byte);
    Pages aligned(image.size());
    memcpy(aligned.data(), image.data(), image.size());
    return checker_->Check(aligned.data(), true);
  }

  const StepPlan plan_ = MakeStepPlan("put-replace", 3);
  MemorySegment memory_{plan_.options};
  std::optional<Client> bystander_, victim_;
  Held held_;
  std::optional<ImageChecker> checker_;
};

TEST_F(ImageCheckerTest, TheStateBeforeTheOperationIsWell) { EXPECT_EQ(checker_->Check(memory_.data(), true), ""); }

TEST_F(ImageCheckerTest, TheEndWithoutTheOperationIsNot) { EXPECT_NE(checker_->CheckEnd(memory_.data()), ""); }

TEST_F(ImageCheckerTest, TheStateAfterTheOperationIsWell) {
  const NamedItem& object = plan_.objects[0];
  const std::string metadata = Pattern(object.item.metadata_size, MetadataTag(object.item.tag));
  PutOptions options;
  options.metadata = AsBytes(metadata);
  ASSERT_TRUE(victim_->Put(object.key, Pattern(object.item.size, object.item.tag), options).ok());
  EXPECT_EQ(checker_->Check(memory_.data(), true), "");
  EXPECT_EQ(checker_->CheckEnd(memory_.data()), "");
}

TEST_F(ImageCheckerTest, AnotherValueThanEitherIsFound) {
  ASSERT_TRUE(victim_->Put("target", "neither").ok());
  EXPECT_NE(checker_->Check(memory_.data(), false), "");
}

TEST_F(ImageCheckerTest, AMissingObjectIsFound) {
  ASSERT_TRUE(victim_->Delete("other").ok());
  EXPECT_NE(checker_->Check(memory_.data(), false), "");
}

TEST_F(ImageCheckerTest, ACorruptImageIsFound) {
  const Segment& segment = memory_.segment();
  EXPECT_NE(CheckChanged(&segment.central().free_granules, 1), "") << "the account of free memory";
  EXPECT_NE(CheckChanged(&segment.central().credits, 99), "") << "the account of objects";
  EXPECT_NE(CheckChanged(&segment.central().subscribers, 5), "");
  for (uint32_t id = 1; id < 32; ++id) {
    const Object& object = segment.object(ObjectId{id});
    if (ObjectFields::Read(object).head.state != ObjectState::kSealed || object.size.Load() == 0) continue;
    const auto* value = segment.bytes(object.payload.Load());
    EXPECT_NE(CheckChanged(value, static_cast<int>(*value) ^ 0x40), "") << "a byte of object " << id;
  }
}

TEST_F(ImageCheckerTest, ALeakIsFound) {
  // An id that the victim keeps at hand vanishes.
  const Slot& slot = memory_.segment().slot(SlotOf(*victim_));
  ASSERT_GT(slot.id_count.Load(), 1u);
  EXPECT_NE(CheckChanged(&slot.id_count, static_cast<int>(slot.id_count.Load() - 1)), "");
}

TEST_F(ImageCheckerTest, ALockOfNobodyIsFound) {
  // Held by a slot that has no client and never will: nobody can heal it.
  const Bucket& home = memory_.segment().home(Key(memory_.segment(), "target").hash);
  EXPECT_NE(CheckChanged(reinterpret_cast<const std::byte*>(&home.lock) + 4, 4), "");
}

TEST_F(ImageCheckerTest, ADeadClientsLockIsNot) {
  // What a death between taking the lock and anything else leaves: the list of held locks first, then the word.
  const Segment& segment = memory_.segment();
  const SlotIndex slot = SlotOf(*victim_);
  const Bucket& home = segment.home(Key(segment, "target").hash);
  std::vector<std::byte> image(memory_.data(), memory_.data() + segment.geometry().size);
  auto set = [&](const void* place, uint64_t word) { memcpy(image.data() + segment.OffsetOf(place), &word, 8); };
  set(&segment.slot(slot).held[0], segment.OffsetOf(&home.lock));
  set(&segment.slot(slot).held_count, 1);
  const uint32_t generation = SlotState::Decode(segment.slot(slot).state.Load()).generation;
  set(&home.lock, LockValue::Taken(home.lock.Load(), LockValue::Owner(slot, generation)));
  Pages aligned(image.size());
  memcpy(aligned.data(), image.data(), image.size());
  EXPECT_EQ(checker_->Check(aligned.data(), true), "");
}

}  // namespace
}  // namespace lightning::faults
