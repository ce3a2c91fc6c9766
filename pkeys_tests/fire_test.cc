// LIGHTNING_FIRE_WINDOWS: how many windows each mode opens under fire (default: some seconds' worth).
#include "pkeys_tests/fire.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "pkeys_tests/isolation_fixture.h"
#include "store/gate/process_key.h"

namespace lightning::pkeys {
namespace {

class FireTest : public testing::TestWithParam<Isolation> {
 protected:
  void SetUp() override {
    if (GetParam() == Isolation::kKeys && !MachineHasKeys())
      GTEST_SKIP() << "this machine has no memory protection keys";
  }
  static uint64_t Windows() {
    const char* asked = std::getenv("LIGHTNING_FIRE_WINDOWS");
    if (asked != nullptr) return std::strtoull(asked, nullptr, 10);
    if (std::getenv("LIGHTNING_EMULATED") != nullptr) return 40'000;
    return GetParam() == Isolation::kMprotect ? 100'000 : 1'000'000;
  }
  static FireReport Under(FirePlan::Planted planted, uint64_t windows) {
    return WindowsUnderFire({.isolation = GetParam(), .windows = windows, .planted = planted});
  }
};
INSTANTIATE_TEST_SUITE_P(Modes, FireTest, testing::ValuesIn(ModesToRun()),
                         [](const auto& mode) { return IsolationName(mode.param); });

TEST_P(FireTest, NoWindowLeaksNoRightIsWrongAndNoWriteIsLost) {
  const FireReport report = Under(FirePlan::Planted::kNothing, Windows());
  printf("%s: %s\n", IsolationName(GetParam()), report.ToString().c_str());
  EXPECT_TRUE(report.well()) << report.ToString();
  EXPECT_GE(report.windows, Windows());
  EXPECT_GE(report.signals, 200u);
  EXPECT_GE(report.threads, 2u);
  EXPECT_GE(report.forks, report.threads) << "one from inside a window of each thread at least";
}

TEST_P(FireTest, APlantedLeakIsSeen) { EXPECT_GT(Under(FirePlan::Planted::kLeak, 20'000).leaks, 0u); }

TEST_P(FireTest, APlantedLostWriteIsSeen) { EXPECT_GT(Under(FirePlan::Planted::kLostWrite, 20'000).lost_writes, 0u); }

// Where threads have rights.
class KeysFireTest : public FireTest {};
INSTANTIATE_TEST_SUITE_P(Keys, KeysFireTest, testing::Values(Isolation::kKeys));

TEST_P(KeysFireTest, APlantedHandlerWithRightsIsSeen) {
  EXPECT_GT(Under(FirePlan::Planted::kHandlerWithRights, 20'000).wrong_rights, 0u);
}

// Where a mapping that a child inherits is writable, but by design has to be missing.
class HiddenFireTest : public FireTest {};
INSTANTIATE_TEST_SUITE_P(Hidden, HiddenFireTest, testing::Values(Isolation::kHidden));

TEST_P(HiddenFireTest, APlantedMappingThatChildrenInheritIsSeen) {
  EXPECT_GT(Under(FirePlan::Planted::kInheritedMapping, 20'000).wrong_children, 0u);
}

}  // namespace
}  // namespace lightning::pkeys
