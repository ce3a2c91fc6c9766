#include "faults/mutants/mutants.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <stdexcept>

#include "faults/mutants/run_for.h"

namespace lightning::faults {
namespace {

TEST(MutantsTest, EachSaysItsRuleItsClassAndWhatShouldSeeIt) {
  const std::vector<Mutant> mutants = ListMutants(LIGHTNING_SOURCE_DIR);
  ASSERT_GE(mutants.size(), 45u);
  for (const Mutant& mutant : mutants) {
    EXPECT_FALSE(mutant.rule.empty()) << mutant.name;
    EXPECT_FALSE(mutant.kind.empty()) << mutant.name;
    EXPECT_FALSE(mutant.parts.empty()) << mutant.name;
  }
}

TEST(MutantsTest, NoTwoAreTheSame) {
  std::set<std::string> changes;
  for (const Mutant& mutant : ListMutants(LIGHTNING_SOURCE_DIR)) {
    const std::string text = ReadWholeFile(mutant.patch);
    const size_t begin = text.find("--- ");
    ASSERT_NE(begin, std::string::npos) << mutant.name << " changes nothing";
    EXPECT_TRUE(changes.insert(text.substr(begin)).second) << mutant.name << " is another mutant's change";
  }
}

TEST(MutantsTest, EachStillApplies) {
  for (const Mutant& mutant : ListMutants(LIGHTNING_SOURCE_DIR)) {
    const std::string command = "git -C '" LIGHTNING_SOURCE_DIR "' apply --check '" + mutant.patch + "'";
    EXPECT_EQ(system(command.c_str()), 0) << mutant.name << " no longer applies: make it anew";
  }
}

// A test that was renamed would leave its bug uncaught, which only a whole run over all of them shows.
TEST(MutantsTest, EachNamesTestsThatExist) {
  const std::filesystem::path bin = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  size_t looked = 0;
  for (const Mutant& mutant : ListMutants(LIGHTNING_SOURCE_DIR)) {
    for (Part part : mutant.parts) {
      if (part[0] == "keys") part.erase(part.begin());
      if (!part[0].ends_with("_tests")) continue;
      ASSERT_EQ(part.size(), 2u) << mutant.name;
      const std::string log = testing::TempDir() + "/listed.log";
      ASSERT_EQ(RunFor({bin / part[0], "--gtest_list_tests", "--gtest_filter=" + part[1]}, log, 60).status, 0)
          << part[0];
      EXPECT_NE(ReadWholeFile(log).find("\n  "), std::string::npos)
          << mutant.name << ": no test of " << part[0] << " matches " << part[1];
      ++looked;
    }
  }
  EXPECT_GT(looked, 20u);
}

TEST(MutantsTest, TheCopyHasEachFolderThatTheBuildNeeds) {
  const std::string build = ReadWholeFile(LIGHTNING_SOURCE_DIR "/CMakeLists.txt");
  const std::string_view word = "add_subdirectory(";
  std::set<std::string> needed;
  for (size_t at = build.find(word); at != std::string::npos; at = build.find(word, at + 1)) {
    const size_t begin = at + word.size();
    needed.insert(build.substr(begin, build.find(')', begin) - begin));
  }
  ASSERT_TRUE(needed.contains("store"));
  for (const std::string& folder : needed)
    EXPECT_NE(std::find(kMutantFolders.begin(), kMutantFolders.end(), folder), kMutantFolders.end()) << folder;
}

TEST(MutantsTest, OneWithoutItsFirstLinesIsRefused) {
  const std::filesystem::path root = std::filesystem::path(testing::TempDir()) / "mutants_without_a_rule";
  std::filesystem::create_directories(root / "faults/mutants");
  std::ofstream(root / "faults/mutants/nameless.patch") << "--- a/store/x.cc\n+++ b/store/x.cc\n";
  EXPECT_THROW(ListMutants(root), std::runtime_error);
  std::filesystem::remove_all(root);
}

TEST(MutantsTest, TheControlRunsEachPartOnce) {
  Mutant one, two;
  one.parts = {{"sim"}, {"step"}};
  two.parts = {{"step"}, {"store_tests", "GateTest.*"}};
  const Mutant control = ControlOf({one, two});
  EXPECT_TRUE(control.patch.empty());
  EXPECT_EQ(control.parts, (std::vector<Part>{{"sim"}, {"step"}, {"store_tests", "GateTest.*"}}));
}

TEST(RunForTest, TellsAnExitASignalAndWhatTakesTooLong) {
  const std::string log = testing::TempDir() + "/run_for.log";
  const RunOutcome exited = RunFor({"/bin/sh", "-c", "echo said; exit 3"}, log, 60);
  EXPECT_EQ(exited.status, 3);
  EXPECT_EQ(ReadWholeFile(log), "said\n");
  EXPECT_EQ(RunFor({"/bin/sh", "-c", "kill -9 $$"}, log, 60).status, -1);
  const RunOutcome late = RunFor({"/bin/sh", "-c", "exec cat /dev/zero >/dev/null"}, log, 0.1);
  EXPECT_TRUE(late.late);
  EXPECT_NE(late.status, 0) << "what took too long has not passed";
}

}  // namespace
}  // namespace lightning::faults
