#include "faults/mutants/mutants.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

namespace lightning::faults {
namespace {

TEST(MutantsTest, EachSaysItsRuleAndItsPart) {
  const std::vector<Mutant> mutants = ListMutants(LIGHTNING_SOURCE_DIR);
  ASSERT_GE(mutants.size(), 3u);
  for (const Mutant& mutant : mutants) {
    EXPECT_FALSE(mutant.rule.empty()) << mutant.name;
    EXPECT_FALSE(mutant.part.empty()) << mutant.name;
  }
}

TEST(MutantsTest, EachStillApplies) {
  for (const Mutant& mutant : ListMutants(LIGHTNING_SOURCE_DIR)) {
    const std::string command = "git -C '" LIGHTNING_SOURCE_DIR "' apply --check '" + mutant.patch + "'";
    EXPECT_EQ(system(command.c_str()), 0) << mutant.name << " no longer applies: make it anew";
  }
}

}  // namespace
}  // namespace lightning::faults
