#include "faults/check/image_checker.h"

#include <gtest/gtest.h>

#include <cstring>

#include "faults/engine/plan_runner.h"
#include "faults/plan/plan_segment.h"
#include "faults/plan/step_plan.h"
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
    PlanRunner first(std::move(*bystander), plan_.clients[0]), second(std::move(*victim), plan_.clients[1]);
    bystander_.emplace(std::move(first));
    victim_runner_.emplace(std::move(second));
    ASSERT_TRUE(bystander_->Begin().ok() && victim_runner_->Begin().ok());
    victim_ = victim_runner_->client();
    JudgeOptions options;
    options.alive = {SlotOf(*bystander_->client())};
    options.pinned = bystander_->Pinned(plan_);
    checker_.emplace(memory_.segment().geometry(), options);
    ASSERT_EQ(checker_->Begin(memory_.data(), Outcomes(plan_).Next()), "");
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

  const Plan plan_ = ScenarioPlan("put-replace", 3);
  MemorySegment memory_{*SegmentOptions(plan_.segment)};
  std::optional<PlanRunner> bystander_, victim_runner_;
  Client* victim_ = nullptr;
  Content content_;
  std::optional<ImageChecker> checker_;
};

TEST_F(ImageCheckerTest, TheStateBeforeTheOperationIsWell) { EXPECT_EQ(checker_->Check(memory_.data(), true), ""); }

TEST_F(ImageCheckerTest, TheEndWithoutTheOperationIsNot) {
  EXPECT_NE(checker_->CheckEnd(memory_.data(), Code::kOk, &content_), "");
}

TEST_F(ImageCheckerTest, AnAnswerThatTheModelDoesNotExpectIsFound) {
  EXPECT_NE(checker_->CheckEnd(memory_.data(), Code::kNotFound, &content_), "");
}

TEST_F(ImageCheckerTest, TheStateAfterTheOperationIsWell) {
  ASSERT_EQ(victim_runner_->Do(0), Code::kOk);
  EXPECT_EQ(checker_->Check(memory_.data(), true), "");
  EXPECT_EQ(checker_->CheckEnd(memory_.data(), Code::kOk, &content_), "");
  EXPECT_EQ(content_["target"], plan_.clients[1].operations[0].items[0].item);
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
