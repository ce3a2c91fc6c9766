// The isolation matrix itself: that it is whole, and that its documentation and its program are what they say. That it
// sees what does not hold is in judge_test.cc.
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
#include "pkeys_tests/routes/last_run.h"

namespace lightning::routes {

namespace {

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
    EXPECT_EQ(row.breach.empty(), row.detector == Detector::kNone) << row.Test();
    EXPECT_TRUE(row.lands || row.expectation != Expectation::kOutOfScope) << row.Test();
    EXPECT_TRUE(row.error == 0 || row.extra != Extra::kNone) << row.Test();
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
  for (const auto acts :
       {Stores(), WideStores(), Syscalls(), KernelWrites(), AsyncReads(), FileWrites(), OwnWrites()}) {
    for (const Act& act : acts) EXPECT_TRUE(used.contains(act.name)) << act.name;
  }
  for (const Target& target : Targets()) EXPECT_TRUE(used.contains(target.name)) << target.name;
  for (const auto contexts : {Contexts(), ProcessContexts(), Leaks(), MappingChanges()}) {
    for (const Context& context : contexts) EXPECT_TRUE(used.contains(context.name)) << context.name;
  }
}

TEST(MatrixTest, TheLastRunThatTheDocumentationSpeaksOfWasOfAllRows) {
  const LastRun last = ReadLastRun();
  EXPECT_EQ(last.rows(), Matrix().size()) << "run ci/isolation --record";
  std::set<std::string> names;
  for (const Row& row : Matrix()) names.insert(row.Test());
  for (const auto& [test, fact] : last.not_run) {
    EXPECT_TRUE(names.contains(test)) << test;
    EXPECT_FALSE(fact.empty()) << test;
  }
}

TEST(MatrixTest, DocumentationIsWhatTheTableGenerates) {
  EXPECT_TRUE(ReadText(LIGHTNING_SOURCE_DIR "/docs/isolation.md") == Document()) << "run ci/isolation --docs";
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
