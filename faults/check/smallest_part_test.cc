#include "faults/check/smallest_part.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "faults/check/make_history.h"
#include "faults/check/operations_for_tests.h"

namespace lightning::faults {
namespace {

using Operations = std::vector<RegisterOperation>;

Operations OfKey(const HistoryFile& file, std::span<const uint32_t> indices) {
  Operations operations;
  for (const uint32_t i : indices) operations.push_back(file.operations[i]);
  return operations;
}

class PlantTest : public testing::TestWithParam<std::pair<const char*, size_t>> {};

// Each planted violation is found among thousands of operations, and shown by as few as it takes: who wrote what was
// seen, what came between, who saw it.
TEST_P(PlantTest, IsFoundAndShownByFewOperations) {
  const auto [name, size] = GetParam();
  HistorySettings settings;
  settings.operations = 5000;
  settings.keys = 40;
  size_t smallest = settings.operations;
  for (settings.seed = 1; settings.seed <= 10; ++settings.seed) {
    HistoryFile file;
    std::string error;
    settings.plant.clear();
    ASSERT_TRUE(MakeHistory(settings, &file, &error));
    EXPECT_EQ(CheckHistory(file.operations).verdict, Verdict::kOk) << settings.seed;
    settings.plant = name;
    ASSERT_TRUE(MakeHistory(settings, &file, &error)) << error;
    const HistoryVerdict verdict = CheckHistory(file.operations);
    ASSERT_EQ(verdict.verdict, Verdict::kIllegal) << settings.seed;

    const Operations its = OfKey(file, verdict.failing);
    const SmallestPart part = FindSmallestPart(its, {});
    // Where a replace wrote what was seen, who wrote what it replaced stands there too.
    EXPECT_GE(part.operations.size(), size) << settings.seed;
    EXPECT_LE(part.operations.size(), size + 3) << settings.seed;
    smallest = std::min(smallest, part.operations.size());
    // It is a violation of its own, and none without the operation that is stuck.
    Operations alone;
    for (const uint32_t i : part.operations) alone.push_back(its[i]);
    LinearizabilityChecker checker;
    EXPECT_EQ(checker.CheckRegister(alone), Verdict::kIllegal);
    const auto stuck = std::ranges::find(part.operations, part.explanation.stuck);
    ASSERT_NE(stuck, part.operations.end());
    EXPECT_TRUE(its[*stuck].Returned());
    EXPECT_EQ(std::ranges::count(part.explanation.order, *stuck), 0);
    // Whoever reads something has a writer beside it.
    for (const RegisterOperation& o : alone) {
      if (o.kind != RegisterKind::kGet || o.value == kAbsent) continue;
      EXPECT_TRUE(std::ranges::any_of(
          alone, [&](const RegisterOperation& w) { return w.kind != RegisterKind::kGet && w.value == o.value; }));
    }
  }
  EXPECT_EQ(smallest, size);
}

INSTANTIATE_TEST_SUITE_P(SmallestPart, PlantTest,
                         testing::Values(std::pair("stale-read", 3), std::pair("lost-update", 3),
                                         std::pair("dirty-delete", 4), std::pair("future-read", 2),
                                         std::pair("double-replace", 3)),
                         [](const auto& its) {
                           std::string name = its.param.first;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

TEST(SmallestPartTest, NothingIsLeftOutThatWouldExcuseIt) {
  // Without the delete, the get that saw nothing would look wrong; it is not.
  const RegisterOperation deletes = {.kind = RegisterKind::kDelete, .call = 3, .ret = 4};
  const Operations operations = {Put(1, 1, 2), deletes, Get(kAbsent, 5, 6), Put(2, 7, 8), Get(1, 9, 10)};
  EXPECT_EQ(FindSmallestPart(operations, {}).operations, (std::vector<uint32_t>{0, 3, 4}));
}

// Each violation stands between operations that have nothing to do with it.
TEST(SmallestPartTest, HasTheSizeThatTheViolationNeeds) {
  using Kind = RegisterKind;
  const auto replace = [](uint64_t expected, uint64_t value, uint64_t call, uint64_t ret) {
    return RegisterOperation{.kind = Kind::kReplace,
                             .answer = RegisterAnswer::kYes,
                             .value = value,
                             .expected = expected,
                             .call = call,
                             .ret = ret};
  };
  const auto deletes = [](uint64_t call, uint64_t ret) {
    return RegisterOperation{.kind = Kind::kDelete, .call = call, .ret = ret};
  };
  const struct {
    const char* name;
    Operations operations;
    size_t size;
  } cases[] = {
      {"stale read", {Put(1, 10, 20), Put(2, 30, 40), Get(1, 50, 60)}, 3},
      {"lost update", {Put(1, 10, 20), replace(1, 2, 30, 40), Get(1, 50, 60)}, 3},
      {"lost write", {Put(1, 10, 20), Get(kAbsent, 50, 60)}, 2},
      {"dirty read of a delete", {Put(1, 10, 20), deletes(30, kNever), Get(kAbsent, 40, 50), Get(1, 60, 70)}, 4},
      {"read from the future", {Get(1, 10, 20), Put(1, 30, 40)}, 2},
      {"read of what nobody wrote", {Get(1, 10, 20)}, 1},
      {"two replaces", {Put(1, 10, 20), replace(1, 2, 30, 50), replace(1, 3, 40, 60)}, 3},
  };
  for (const auto& its : cases) {
    Operations operations = its.operations;
    for (uint64_t i = 0; i < 20; ++i) {
      operations.push_back(Put(100 + i, 1000 + 20 * i, 1015 + 20 * i));
      operations.push_back(Get(100 + i, 1010 + 20 * i, 1018 + 20 * i));
    }
    operations.push_back(deletes(1, 2));
    operations.push_back(Get(kAbsent, 3, 4));
    EXPECT_EQ(FindSmallestPart(operations, {}).operations.size(), its.size) << its.name;
  }
}

TEST(SmallestPartTest, ALegalHistoryHasNone) {
  EXPECT_TRUE(FindSmallestPart(Operations{Put(1, 1, 2), Get(1, 3, 4)}, {}).operations.empty());
}

TEST(SmallestPartTest, AmongManyOperationsOfOneKeyItIsFoundToo) {
  HistorySettings settings;
  settings.operations = 3000;
  settings.keys = 1;
  settings.plant = "stale-read";
  HistoryFile file;
  std::string error;
  ASSERT_TRUE(MakeHistory(settings, &file, &error)) << error;
  const SmallestPart part = FindSmallestPart(file.operations, {});
  EXPECT_GE(part.operations.size(), 3u);
  EXPECT_LE(part.operations.size(), 6u);
}

}  // namespace
}  // namespace lightning::faults
