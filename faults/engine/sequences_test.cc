#include "faults/engine/sequences.h"

#include <gtest/gtest.h>

#include "faults/engine/parts.h"
#include "faults/engine/sequence_runner.h"

namespace lightning::faults {
namespace {

Options Small() {
  Options options;
  options.size = 1 << 20;
  options.max_objects = 16;
  options.max_clients = 4;
  options.max_pins = 16;
  options.event_slots = 8;
  options.hash_seed = 5;
  return options;
}

Operation Make(Op op, uint32_t key, uint64_t size = 100) {
  Operation operation;
  operation.op = op;
  operation.keys = {key};
  operation.size = size;
  operation.tag = 77;
  operation.choice = 3;
  return operation;
}

TEST(SequencesTest, RandomSequencesAgreeWithTheModel) {
  for (const char* over : {"memory", "none", "hidden", "mprotect"}) {
    for (uint64_t seed = 1; seed <= 4; ++seed) {
      Sequence sequence;
      sequence.seed = seed;
      sequence.over = over;
      sequence.count = 2000;
      const SequenceResult result = RunSequence(sequence);
      EXPECT_EQ(result.error, "") << CommandOf(sequence);
      EXPECT_EQ(result.ran, 2000u);
    }
  }
}

// Whole pages that fit by themselves, and not together with a key that has no room in its record.
TEST(SequencesTest, AValueThatFitsOnlyWithoutItsKeyIsTooLarge) {
  Sequence sequence;
  sequence.seed = 1309932342274214439;
  sequence.over = "memory";
  sequence.count = 216;
  const SequenceResult result = RunSequence(sequence);
  EXPECT_EQ(result.error, "") << CommandOf(sequence);
}

TEST(SequencesTest, OnlyTheNamedOperationsRun) {
  Sequence sequence;
  sequence.seed = 8;
  sequence.over = "memory";
  sequence.count = 100;
  sequence.only = {3, 50, 99};
  EXPECT_EQ(RunSequence(sequence).ran, 3u);
  EXPECT_NE(CommandOf(sequence).find("--only 3,50,99"), std::string::npos);
}

// The model is told lies, one a test: what it does not know about happens behind its back.
class RunnerTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(runner_.Run(Make(Op::kPut, 0)), "");  // the first operation attaches
    ASSERT_EQ(runner_.Run(Make(Op::kPut, 0)), "");
    Result<Client> other = memory_.Attach();
    ASSERT_TRUE(other.ok());
    other_.emplace(std::move(*other));
  }
  const Options options_ = Small();
  MemorySegment memory_{options_};
  const std::vector<std::string> keys_{"one", "two", "three"};
  SequenceRunner runner_{memory_, options_, keys_, 1};
  std::optional<Client> other_;
};

TEST_F(RunnerTest, AValueThatChangedIsFound) {
  ASSERT_EQ(runner_.Run(Make(Op::kGet, 0)), "");
  ASSERT_TRUE(other_->Put("one", "something else").ok());
  EXPECT_NE(runner_.Run(Make(Op::kGet, 0)), "");
}
TEST_F(RunnerTest, AnObjectThatIsGoneIsFound) {
  ASSERT_TRUE(other_->Delete("one").ok());
  EXPECT_NE(runner_.Run(Make(Op::kContains, 0)), "");
  EXPECT_NE(runner_.Run(Make(Op::kList, 0)), "");
  EXPECT_NE(runner_.Run(Make(Op::kDelete, 0)), "");
}
TEST_F(RunnerTest, AnObjectTooManyIsFound) {
  ASSERT_TRUE(other_->Put("two", "").ok());
  EXPECT_NE(runner_.Run(Make(Op::kStats, 0)), "");
}
TEST_F(RunnerTest, APinnedByteThatChangesIsFound) {
  ASSERT_EQ(runner_.Run(Make(Op::kGet, 0)), "");
  const Result<Handle> handle = other_->Get("one");
  ASSERT_TRUE(handle.ok());
  // Through the memory that the segment stands in, as no client could.
  auto* byte = const_cast<std::byte*>(handle->data() + 50);
  *byte ^= std::byte{1};
  EXPECT_NE(runner_.Run(Make(Op::kRelease, 0)), "");
}

TEST(ShrinkTest, LeavesOutWhatDoesNotMatter) {
  // No sequence of the real store fails, so one that cannot be set up stands for one that does.
  Sequence sequence;
  sequence.seed = 3;
  sequence.over = "no such mode";
  sequence.count = 64;
  const SequenceResult failure = RunSequence(sequence);
  ASSERT_NE(failure.error, "");
  const Sequence small = Shrink(sequence, failure, 5);
  EXPECT_EQ(small.only.size(), 1u);
}

}  // namespace
}  // namespace lightning::faults
