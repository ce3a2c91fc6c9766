// The figures behind the costs in docs/isolation.md: kept by mode, whole, and shown as they are.
#include "pkeys_tests/routes/costs.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <map>
#include <set>

namespace lightning::routes {
namespace {

class CostsTest : public testing::Test {
 protected:
  void TearDown() override { unlink(path_.c_str()); }
  static Cost At(const char* machine, const char* mode, const char* operation, double ns, double to_ns = 0) {
    return {machine, "2026-01-02", "6.1", mode, operation, ns, to_ns};
  }
  const std::string path_ = testing::TempDir() + "costs." + std::to_string(getpid());
};

TEST_F(CostsTest, AModeIsReplacedAsAWholeAndWhatWasMeasuredElsewhereOfOthersStays) {
  ASSERT_TRUE(WriteCosts(path_, {At("old", "keys", "window", 31, 37), At("old", "none", "gone", 1)}));
  ASSERT_TRUE(WriteCosts(path_, {At("new", "none", "window", 2.25)}));
  const std::vector<Cost> read = ReadCosts(path_);
  ASSERT_EQ(read.size(), 2u);
  EXPECT_EQ(read[0].machine, "old");
  EXPECT_EQ(read[0].to_ns, 37);
  EXPECT_EQ(read[1].operation, "window");
  EXPECT_EQ(read[1].ns, 2.25);
  EXPECT_EQ(CostsTable(read),
            "| | keys | mprotect | hidden | none |\n|---|---|---|---|---|\n"
            "| window | 31 ns to 37 ns | – | – | 2.2 ns |\n");
  EXPECT_EQ(CostsMachines(read), "- `keys`: old, Linux 6.1, 2026-01-02\n- `none`: new, Linux 6.1, 2026-01-02\n");
}

TEST_F(CostsTest, WhatIsNoFileOfFiguresHasNone) {
  EXPECT_TRUE(ReadCosts(path_).empty());
  std::ofstream(path_) << "text";
  EXPECT_TRUE(ReadCosts(path_).empty());
  EXPECT_FALSE(WriteCosts("/no/such/folder/file", {At("m", "none", "window", 2)}));
}

// Those of mode keys are of single steps, from another machine.
TEST_F(CostsTest, ThePageHasEachOperationInEachModeButKeys) {
  std::map<std::string, std::set<std::string>> kept;
  for (const Cost& cost : ReadCosts(LIGHTNING_SOURCE_DIR "/pkeys_tests/routes/costs.json")) {
    kept[cost.mode].insert(cost.operation);
    EXPECT_FALSE(cost.machine.empty() || cost.kernel.empty() || cost.date.size() != 10) << cost.operation;
    EXPECT_GT(cost.ns, 0);
  }
  for (const char* mode : {"mprotect", "hidden", "none"}) EXPECT_EQ(kept[mode], kept["mprotect"]) << mode;
  for (const char* operation :
       {"get", "put of 1 KiB", "audit", "attach", "attach with `Options::seal`", "`Harden`",
        "a window, opened and closed, that touches one page", "a window that touches four pages",
        "a window with one page suspended and resumed", "the look at the entry of an operation",
        "64 KiB exposed for a creator and taken back", "create, seal and delete of 100 KiB"})
    EXPECT_TRUE(kept["mprotect"].contains(operation)) << operation;
  for (const std::string& operation : kept["keys"]) EXPECT_TRUE(kept["mprotect"].contains(operation)) << operation;
}

}  // namespace
}  // namespace lightning::routes
