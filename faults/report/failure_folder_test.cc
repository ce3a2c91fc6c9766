#include "faults/report/failure_folder.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "faults/plan/expand.h"
#include "faults/report/build_id.h"

namespace lightning::faults {
namespace {

namespace fs = std::filesystem;

class FailureFolderTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string place = (fs::temp_directory_path() / "failure-folder.XXXXXX").string();
    ASSERT_NE(mkdtemp(place.data()), nullptr);
    place_ = place;
    failure_.engine = "step";
    failure_.kind = "a leak";
    failure_.what = "a leak of 3 bytes";
    failure_.command = "lightning-faults step";
    failure_.settings = {{"at", {7}}};
    failure_.plan = ExpandPlan(7, {});
  }
  void TearDown() override { fs::remove_all(place_); }

  std::string place_;
  Failure failure_;
};

TEST(FailureClassTest, NamesAndNumbersDoNotMatter) {
  EXPECT_EQ(FailureClass("central offset 128 went from 0x1f to 0xbeef, key \"a 1\""),
            "central offset  went from  to , key ");
  EXPECT_EQ(FailureClass("object 3 of \"x\""), FailureClass("object 12 of \"y\""));
  EXPECT_EQ(FailureClass("was 0xabc"), FailureClass("was 0x12"));
  EXPECT_NE(FailureClass("bucket 1 offset 0"), FailureClass("object 1 offset 0"));
}

TEST_F(FailureFolderTest, WhatIsLeftCanBeReadAgain) {
  failure_.before.assign(64, std::byte{1});
  failure_.trace = "one line\n";
  std::string folder;
  ASSERT_EQ(LeaveFailure(place_, failure_, &folder), "");
  nlohmann::json verdict;
  ASSERT_EQ(ReadVerdict(folder, &verdict), "");
  EXPECT_EQ(verdict["class"], "a leak");
  EXPECT_EQ(verdict["at"], nlohmann::json({7}));
  EXPECT_EQ(verdict["seed"], 7);
  EXPECT_EQ(verdict["build_id"], OwnBuildId());
  EXPECT_FALSE(OwnBuildId().empty());
  EXPECT_TRUE(fs::exists(folder + "/plan.txt"));
  EXPECT_EQ(fs::file_size(folder + "/before.image"), 64u);
  EXPECT_FALSE(fs::exists(folder + "/after.image")) << "nothing is known of it";
}

TEST_F(FailureFolderTest, TheSameFailureHasTheSameFolderAndAnotherOneAnother) {
  std::string one, two, other;
  ASSERT_EQ(LeaveFailure(place_, failure_, &one), "");
  ASSERT_EQ(LeaveFailure(place_, failure_, &two), "");
  failure_.kind = "a hang";
  ASSERT_EQ(LeaveFailure(place_, failure_, &other), "");
  EXPECT_EQ(one, two);
  EXPECT_NE(one, other);
}

TEST_F(FailureFolderTest, APlaceThatCannotBeWrittenIsSaid) {
  std::ofstream(place_ + "/file") << "no folder";
  std::string folder;
  EXPECT_NE(LeaveFailure(place_ + "/file", failure_, &folder), "");
  nlohmann::json verdict;
  EXPECT_NE(ReadVerdict(place_, &verdict), "");
  std::ofstream(place_ + "/verdict.json") << "junk";
  EXPECT_NE(ReadVerdict(place_, &verdict), "");
}

TEST(ReplayCommandTest, ANameWithBlanksOrQuotesStaysOneWordOfTheShell) {
  EXPECT_EQ(ReplayCommand("a/b-1"), "lightning-faults replay a/b-1");
  EXPECT_EQ(ReplayCommand("a b"), "lightning-faults replay 'a b'");
  EXPECT_EQ(ReplayCommand("it's"), "lightning-faults replay 'it'\\''s'");
}

}  // namespace
}  // namespace lightning::faults
