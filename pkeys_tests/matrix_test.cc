// The isolation matrix itself: that it is whole, that its documentation is what it says, and that it sees a gate that
// does not hold.
#include "pkeys_tests/routes/matrix.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>

#include "pkeys_tests/routes/arena.h"
#include "pkeys_tests/routes/document.h"
#include "store/gate/process_key.h"

namespace lightning::routes {

void PrintTo(Verdict verdict, std::ostream* out) { *out << Name(verdict); }

namespace {

const Row& FindRow(const std::string& test) {
  for (const Row& row : Matrix()) {
    if (row.Test() == "Isolation/" + test) return row;
  }
  ADD_FAILURE() << "no row " << test;
  return Matrix().front();
}

std::string ReadText(const std::string& path) {
  std::ifstream in(path);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

TEST(MatrixTest, HasManyRowsOfEachModeAndNoneTwice) {
  EXPECT_GE(Matrix().size(), 150u);
  std::set<std::string> names;
  std::set<Isolation> modes;
  for (const Row& row : Matrix()) {
    EXPECT_TRUE(names.insert(row.Test()).second) << row.Test() << " is there twice";
    EXPECT_FALSE(row.why.empty()) << row.Test();
    EXPECT_FALSE(row.family.empty()) << row.Test();
    EXPECT_EQ(row.detector != Detector::kNone, row.expectation == Expectation::kDetected) << row.Test();
    modes.insert(row.mode);
  }
  EXPECT_EQ(modes.size(), 4u);
}

TEST(MatrixTest, UsesEachActTargetAndContextThatThereIs) {
  std::set<std::string> used;
  for (const Row& row : Matrix()) {
    used.insert(row.act->name);
    used.insert(row.place->name);
    used.insert(row.setting->name);
  }
  for (const auto acts : {Stores(), WideStores(), Syscalls(), KernelWrites(), AsyncReads(), FileWrites()}) {
    for (const Act& act : acts) EXPECT_TRUE(used.contains(act.name)) << act.name;
  }
  for (const Target& target : Targets()) EXPECT_TRUE(used.contains(target.name)) << target.name;
  for (const auto contexts : {Contexts(), ProcessContexts(), Leaks(), MappingChanges()}) {
    for (const Context& context : contexts) EXPECT_TRUE(used.contains(context.name)) << context.name;
  }
}

TEST(MatrixTest, DocumentationIsWhatTheTableGenerates) {
  EXPECT_TRUE(ReadText(LIGHTNING_SOURCE_DIR "/docs/isolation.md") == Document()) << "run ci/isolation --docs";
}

// --- Planted: a gate that does not hold, an act that does nothing, an audit with nothing to find.

TEST(MatrixTest, SeesPagesThatWereNeverProtected) {
  for (const char* test : {"mprotect.mov/undo_log/main_thread", "mprotect.rep_stosb/superblock/main_thread",
                           "mprotect.read/index/main_thread", "mprotect.mov/undo_log/new_thread"}) {
    const Row& row = FindRow(test);
    const Finding well = RunRow(row);
    EXPECT_TRUE(well.as_expected) << test << ": " << well.reason;
    EXPECT_EQ(well.verdict, Verdict::kStopped) << test;
    const Finding weak = RunRow(row, Weakness::kNoProtection);
    EXPECT_FALSE(weak.as_expected) << test;
    EXPECT_EQ(weak.verdict, Verdict::kLanded) << test;
  }
}

TEST(MatrixTest, SeesAWindowThatIsNeverClosed) {
  for (const char* test : {"mprotect.mov/undo_log/main_thread", "mprotect.lock_cmpxchg16b/undo_log/main_thread",
                           "mprotect.recv/sealed_object/main_thread"}) {
    const Finding weak = RunRow(FindRow(test), Weakness::kOpenWindow);
    EXPECT_FALSE(weak.as_expected) << test;
    EXPECT_EQ(weak.verdict, Verdict::kLanded) << test;
  }
}

TEST(KeysMatrixTest, SeesBoth) {
  if (!MachineHasKeys()) GTEST_SKIP() << "this machine has no memory protection keys";
  for (const char* test : {"keys.mov/undo_log/main_thread", "keys.getrandom/undo_log/main_thread"}) {
    EXPECT_EQ(RunRow(FindRow(test)).verdict, Verdict::kStopped) << test;
    for (const Weakness weakness : {Weakness::kNoProtection, Weakness::kOpenWindow}) {
      const Finding weak = RunRow(FindRow(test), weakness);
      EXPECT_FALSE(weak.as_expected) << test << " " << Name(weakness);
      EXPECT_EQ(weak.verdict, Verdict::kLanded) << test << " " << Name(weakness);
    }
  }
}

TEST(MatrixTest, AnAttackThatDoesNothingIsNoProofOfProtection) {
  for (const char* test : {"mprotect.mov/undo_log/main_thread", "mprotect.read/undo_log/main_thread"}) {
    const Finding finding = RunRow(FindRow(test), Weakness::kSilentAct);
    EXPECT_FALSE(finding.as_expected) << test;
    EXPECT_NE(finding.reason.find("nothing shows why"), std::string::npos) << finding.reason;
  }
}

TEST(MatrixTest, ARowWhoseControlDoesNotLandFails) {
  static constexpr Act kNothing = {"nothing", Sign::kFault, [](Arena&, std::byte*) {}};
  Row row = FindRow("mprotect.mov/undo_log/main_thread");
  row.act = &kNothing;
  const Finding finding = RunRow(row);
  EXPECT_FALSE(finding.as_expected);
  EXPECT_EQ(finding.reason.find("no control"), 0u) << finding.reason;
}

TEST(MatrixTest, AFaultOfTheWrongKindFails) {
  // Lands as a control, which comes first, and then goes where nothing is mapped.
  static constexpr Act kWild = {"wild", Sign::kFault, [](Arena&, std::byte* at) {
                                  static int calls = 0;
                                  auto* place = reinterpret_cast<volatile uint64_t*>(at);
                                  if (calls++ != 0) place = reinterpret_cast<volatile uint64_t*>(uint64_t{64});
                                  *place = kStray;
                                }};
  Row row = FindRow("mprotect.mov/undo_log/main_thread");
  row.act = &kWild;
  const Finding finding = RunRow(row);
  EXPECT_FALSE(finding.as_expected);
  EXPECT_NE(finding.reason.find("SEGV_MAPERR"), std::string::npos) << finding.reason;
}

TEST(MatrixTest, WhatAnAuditDoesNotFindIsNotDetected) {
  Row row = FindRow("mprotect.mov/undo_log/mprotect_writable");
  EXPECT_EQ(RunRow(row).verdict, Verdict::kDetected);
  row.setting = &FindContext("main_thread");  // changes nothing, so there is nothing to find
  const Finding finding = RunRow(row);
  EXPECT_FALSE(finding.as_expected);
  EXPECT_NE(finding.verdict, Verdict::kDetected);
}

TEST(MatrixTest, ARowThatDiesIsJudgedByTheBytesItLeft) {
  static constexpr Act kDie = {"die", Sign::kFault, [](Arena& arena, std::byte* at) {
                                 *reinterpret_cast<volatile uint64_t*>(at) = kStray;
                                 static_cast<void>(arena);
                                 _exit(0);
                               }};
  Row row = FindRow("none.mov/undo_log/main_thread");
  row.act = &kDie;
  const Finding finding = RunRow(row);
  EXPECT_EQ(finding.verdict, Verdict::kLanded) << finding.seen;
}

// --- The program.

struct Ran {
  int status;
  nlohmann::json rows;
};
Ran RunProgram(const std::string& arguments) {
  const std::string file = "/tmp/lightning-matrix-test." + std::to_string(getpid()) + ".json";
  unlink(file.c_str());
  const std::string command =
      LIGHTNING_BIN_DIR "/isolation-tests --json " + file + " " + arguments + " >/dev/null 2>&1";
  const int status = system(command.c_str());  // NOLINT
  Ran ran{WIFEXITED(status) ? WEXITSTATUS(status) : -1, nlohmann::json::parse(ReadText(file), nullptr, false)};
  unlink(file.c_str());
  return ran;
}

TEST(IsolationProgramTest, WritesOneObjectARowWithTheNamesThatOthersRead) {
  const Ran ran = RunProgram("--gtest_filter='Isolation/*.mov/undo_log/main_thread'");
  EXPECT_EQ(ran.status, 0);
  ASSERT_EQ(ran.rows.size(), 4u);
  for (const auto& row : ran.rows) {
    for (const char* name : {"route", "target", "context", "mode", "lane", "expectation", "verdict", "test"})
      EXPECT_TRUE(row.contains(name)) << name;
    EXPECT_EQ(row["lane"], "hardware");
    EXPECT_EQ(row.contains("reason"), row["verdict"] == "skipped");
    if (row["mode"] == "mprotect") {
      EXPECT_EQ(row["verdict"], "stopped");
    }
    if (row["mode"] == "none") {
      EXPECT_EQ(row["verdict"], "landed");
    }
  }
}

TEST(IsolationProgramTest, FailsWhenAWeaknessIsPlanted) {
  for (const char* weakness : {"no-protection", "open-window", "silent-act"}) {
    const Ran ran =
        RunProgram(std::string("--weaken ") + weakness + " --gtest_filter='Isolation/mprotect.xchg/undo_log/*'");
    EXPECT_EQ(ran.status, 1) << weakness;
    ASSERT_EQ(ran.rows.size(), 1u);
    EXPECT_EQ(ran.rows[0]["verdict"], "landed");
    EXPECT_FALSE(ran.rows[0]["as_expected"]);
  }
}

TEST(IsolationProgramTest, RefusesWhatItDoesNotKnow) {
  EXPECT_EQ(RunProgram("--no-such-option").status, 2);
  EXPECT_EQ(RunProgram("--mode sideways").status, 2);
  EXPECT_EQ(RunProgram("--help").status, 0);
}

}  // namespace
}  // namespace lightning::routes
