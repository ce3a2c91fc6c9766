// The audit refuses each planted library for its reason, and nothing of the project's own.
#include "faults/audit/binary_audit.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

namespace lightning::faults {
namespace {

const std::filesystem::path kBin = LIGHTNING_BIN_DIR;
const std::filesystem::path kLib = kBin.parent_path() / "lib";

std::string Violations(const AuditReport& report) {
  std::string text;
  for (const AuditItem& item : report.items) {
    if (item.verdict == AuditItem::Verdict::kViolation) text += item.function + ": " + item.reason + "\n";
  }
  return text;
}

AuditReport Audited(const std::filesystem::path& file, const std::vector<std::string>& allowed = {}) {
  std::string error;
  const std::optional<AuditReport> report = AuditFile(file, allowed, &error);
  EXPECT_TRUE(report) << error;
  return report.value_or(AuditReport());
}

struct Plant {
  const char* name;
  const char* reason;  // a part of it
};
class PlantedWindows : public testing::TestWithParam<Plant> {};

TEST_P(PlantedWindows, AreRefusedForTheirReason) {
  const std::filesystem::path file = kLib / "targets" / ("planted_window_" + std::string(GetParam().name) + ".so");
  const AuditReport report = Audited(file);
  EXPECT_FALSE(report.well());
  EXPECT_NE(Violations(report).find(GetParam().reason), std::string::npos) << Violations(report);
  EXPECT_NE(Violations(report).find("planted"), std::string::npos) << "the function is not named";
  for (const AuditItem& item : report.items) EXPECT_NE(item.address, 0u);
}

INSTANTIATE_TEST_SUITE_P(
    Each, PlantedWindows,
    testing::Values(Plant{"lone", "no RDPKRU before it"}, Plant{"unchecked", "the check that traps"},
                    Plant{"wrong_mask", "its mask is not seen to be"}, Plant{"one_path", "a path returns"},
                    Plant{"throws", "exception"}, Plant{"restores", "restores rights from memory"},
                    Plant{"hidden", "a jump into the middle would execute it"},
                    Plant{"jumped_into", "leads into the middle of its sequence"},
                    Plant{"tail_call", "ends in another function"}, Plant{"far_jump", "jumps away (longjmp"},
                    Plant{"twice", "opens a window where one is open"},
                    Plant{"loop", "opens a window where one is open"}),
    [](const auto& its) { return std::string(its.param.name); });

TEST(BinaryAuditTest, AWindowThatIsClosedOnEveryPathIsWell) {
  const AuditReport report = Audited(kLib / "targets" / "planted_window_nothing.so");
  EXPECT_TRUE(report.well()) << Violations(report);
  EXPECT_GE(report.Count(AuditItem::Verdict::kOpens), 1u);
  EXPECT_GE(report.Count(AuditItem::Verdict::kCloses), 1u);
}

TEST(BinaryAuditTest, TheLibraryIsWell) {
  const AuditReport report = Audited(kLib / "liblightning.so");
  EXPECT_TRUE(report.well()) << Violations(report);
  EXPECT_GE(report.Count(AuditItem::Verdict::kOpens), 10u);
  EXPECT_GE(report.Count(AuditItem::Verdict::kCloses), 10u);
}

// --- The project's programs. One rule for all of them, by the sources that an instruction was made from.

bool IsTest(const std::string& file) {
  return file.ends_with("_test.cc") || file.starts_with("pkeys_tests/") || file.starts_with("store/testing/");
}
bool IsHarness(const std::string& file) {
  return IsTest(file) || file.starts_with("faults/") || file.starts_with("fuzz/") || file.starts_with("bench/") ||
         file.starts_with("crashtests/");
}

// What a violation in a program of the project may be, where nothing of it comes from a source file of the store:
// - a test's own: tests leave windows open and edit rights on purpose;
// - by chance the bytes of WRPKRU inside other instructions of the harness. In 16 MB of code they meet about once
//   (docs/binary-audit.md), and which function has them, its place decides.
// Headers of the store may be among its sources: a test opens its windows through them.
bool IsExcused(const AuditItem& item) {
  const auto any = [&](bool (*is)(const std::string&)) {
    return std::any_of(item.files.begin(), item.files.end(), is);
  };
  const bool store =
      any([](const std::string& file) { return file.starts_with("store/") && file.ends_with(".cc") && !IsTest(file); });
  if (store) return false;
  if (any(IsTest)) return true;
  return item.reason.find("inside other instructions") != std::string::npos && any(IsHarness);
}

TEST(BinaryAuditTest, EveryProgramThatWasBuiltIsWell) {
  int audited = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kBin)) {
    if (!entry.is_regular_file()) continue;
    const std::string name = entry.path().filename();
    AuditReport report = Audited(entry.path());
    std::erase_if(report.items, IsExcused);
    EXPECT_TRUE(report.well()) << name << "\n" << Violations(report);
    ++audited;
  }
  EXPECT_GE(audited, 2);
}

TEST(BinaryAuditTest, WhatTheStoreDoesInATestProgramIsNotExcused) {
  const char* const bytes = "its bytes stand inside other instructions: a jump into the middle would execute it";
  const auto excused = [](std::vector<std::string> files, const char* reason) {
    AuditItem item;
    item.files = std::move(files);
    item.reason = reason;
    return IsExcused(item);
  };
  EXPECT_TRUE(excused({"store/gate/pkru.h", "store/gate/gate.h", "store/client/audit_test.cc"}, "a path returns"));
  EXPECT_TRUE(excused({"pkeys_tests/stray.cc"}, "no RDPKRU before it"));
  EXPECT_TRUE(excused({"faults/engine/stray.cc"}, bytes));
  EXPECT_FALSE(excused({"faults/engine/stray.cc"}, "no RDPKRU before it")) << "the harness keeps the rule";
  for (const char* reason : {"a path returns", bytes}) {
    EXPECT_FALSE(excused({"store/gate/pkru.h", "store/client/put.cc"}, reason));
    EXPECT_FALSE(excused({"store/cli/segment.cc", "store/CMakeFiles/lightning_store_cli.dir/unity_0_cxx.cxx"}, reason));
    EXPECT_FALSE(excused({}, reason)) << "nobody knows whose it is";
  }
}

TEST(BinaryAuditTest, AFunctionThatIsAllowedByNameIsStillListed) {
  const AuditReport report = Audited(kLib / "targets" / "planted_window_lone.so", {"plant*"});
  EXPECT_TRUE(report.well());
  EXPECT_EQ(report.Count(AuditItem::Verdict::kAllowed), 1u);
  EXPECT_EQ(AuditToJson(report)["items"][0]["verdict"], "allowed");
}

TEST(BinaryAuditTest, WhatIsNoLinkedProgramIsRefused) {
  const std::filesystem::path file = std::filesystem::path(testing::TempDir()) / "no-program";
  std::ofstream(file) << "text";
  std::string error;
  EXPECT_FALSE(AuditFile(file, {}, &error));
  EXPECT_NE(error.find("not an ELF file"), std::string::npos) << error;
  std::filesystem::remove(file);
  EXPECT_FALSE(AuditFile(file, {}, &error));
  EXPECT_NE(error.find("No such file"), std::string::npos) << error;
}

}  // namespace
}  // namespace lightning::faults
