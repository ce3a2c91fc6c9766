// The judge of the matrix: what must not count as stopped, detected or landed does not.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <set>
#include <string>

#include "lightning/isolation.h"
#include "pkeys_tests/routes/arena.h"
#include "pkeys_tests/routes/matrix.h"
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

// --- The proof that each row can fail.

// How many rows failed as they had to.
int ProveAll(Weakness weakness, bool (*chosen)(const Row&)) {
  int proved = 0;
  for (const Row& row : Matrix()) {
    if (row.expectation != Expectation::kStopped || !chosen(row)) continue;
    const Finding finding = Prove(row, weakness);
    if (finding.verdict == Verdict::kSkipped) continue;
    EXPECT_TRUE(finding.as_expected) << row.Test() << ": " << finding.reason;
    proved += finding.as_expected && Immune(row, weakness) == nullptr;
  }
  return proved;
}
bool NeedsNoKeys(const Row& row) { return row.mode != Isolation::kKeys; }

TEST(MatrixTest, EachStoppedRowFailsWhereNothingProtects) {
  EXPECT_GE(ProveAll(Weakness::kNoProtection, NeedsNoKeys), 300);
}
TEST(MatrixTest, EachStoppedRowFailsWhenItsActDoesNothing) {
  EXPECT_GE(ProveAll(Weakness::kSilentAct, NeedsNoKeys), 300);
}

// All on hardware; in the emulated machine, where each takes long, one for each reason. ci/isolation has all there,
// too.
bool ChosenOfKeys(const Row& row) {
  static std::set<std::string> reasons;
  if (row.mode != Isolation::kKeys) return false;
  return getenv("LIGHTNING_EMULATED") == nullptr || reasons.insert(row.why).second;
}
TEST(KeysMatrixTest, StoppedRowsFailWhenWeakened) {
  if (!MachineHasKeys()) GTEST_SKIP() << "this machine has no memory protection keys";
  EXPECT_GE(ProveAll(Weakness::kNoProtection, ChosenOfKeys), 12);
}

// --- Planted, one by one.

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
  static constexpr Act kDie = {"die",
                               Sign::kFault,
                               [](Arena&, std::byte* at) {
                                 *reinterpret_cast<volatile uint64_t*>(at) = kStray;
                                 _exit(0);
                               },
                               16,
                               8,
                               0,
                               nullptr,
                               true};
  Row row = FindRow("none.mov/undo_log/main_thread");
  row.act = &kDie;
  const Finding finding = RunRow(row);
  EXPECT_EQ(finding.verdict, Verdict::kLanded) << finding.seen;
}

TEST(MatrixTest, WhatOnlyThePreparationsChangedIsNoControl) {
  static constexpr Context kDies = {"dies", [](Arena& arena, const std::function<void()>& deed, bool control) {
                                      if (!control) return deed();
                                      arena.Put(Bytes());
                                      _exit(0);
                                    }};
  Row row = FindRow("mprotect.mov/undo_log/main_thread");
  row.setting = &kDies;
  row.extra = Extra::kHandler;  // control and attack apart
  const Finding finding = RunRow(row);
  EXPECT_FALSE(finding.as_expected);
  EXPECT_EQ(finding.reason.find("no control"), 0u) << finding.reason;
}

TEST(MatrixTest, ARowThatEndsBeforeItsActFails) {
  static constexpr Context kEnds = {"ends", [](Arena&, const std::function<void()>& deed, bool control) {
                                      if (!control) _exit(0);
                                      deed();
                                    }};
  for (const char* test : {"mprotect.mov/undo_log/main_thread", "none.mov/undo_log/main_thread",
                           "mprotect.alternate_stack/free_heap/main_thread"}) {
    Row row = FindRow(test);
    row.setting = &kEnds;
    const Finding finding = RunRow(row);
    EXPECT_FALSE(finding.as_expected) << test;
    EXPECT_NE(finding.reason.find("before its act"), std::string::npos) << finding.reason;
  }
}

TEST(MatrixTest, ARowOutOfScopeFailsWhenNothingLands) {
  for (const char* test : {"none.mov/undo_log/main_thread", "mprotect.pwrite_to_file/undo_log/main_thread"}) {
    const Finding finding = RunRow(FindRow(test), Weakness::kSilentAct);
    EXPECT_FALSE(finding.as_expected) << test;
    EXPECT_NE(finding.reason.find("nothing shows why"), std::string::npos) << finding.reason;
  }
  // Stopped for a good reason is not what the table says, either.
  Row row = FindRow("mprotect.mov/undo_log/main_thread");
  row.expectation = Expectation::kOutOfScope;
  row.lands = true;
  const Finding finding = RunRow(row);
  EXPECT_FALSE(finding.as_expected);
  EXPECT_EQ(finding.verdict, Verdict::kStopped);
  // Unless it names the fact for which it is stopped here.
  row.spared = [] { return "a fact"; };
  EXPECT_TRUE(RunRow(row).as_expected);
}

TEST(MatrixTest, ABreachOfAnotherKindIsNotDetected) {
  for (const char* test :
       {"mprotect.mov/undo_log/mprotect_writable", "none.mov/undo_log/after_longjmp_out_of_operation",
        "none.mov/undo_log/after_longjmp_out_of_operation_with_handler",
        "mprotect.second_mapping/undo_log/main_thread_then_attach",
        "mprotect.second_mapping/undo_log/main_thread_then_attach_with_handler"}) {
    Row row = FindRow(test);
    EXPECT_TRUE(RunRow(row).as_expected) << test;
    row.breach = BreachName(Breach::kGuard);
    const Finding finding = RunRow(row);
    EXPECT_FALSE(finding.as_expected) << test;
    EXPECT_NE(finding.verdict, Verdict::kDetected) << test;
  }
}

TEST(MatrixTest, ADetectedRowFailsWhenOtherBytesChangeThanTheTableSays) {
  Row row = FindRow("mprotect.mov/undo_log/mprotect_writable");
  row.lands = false;
  EXPECT_FALSE(RunRow(row).as_expected);
}

TEST(MatrixTest, ARefusalWithAnotherErrorIsNoProofOfHardening) {
  Row row = FindRow("mprotect.mov/undo_log/mprotect_writable_hardened");
  EXPECT_EQ(RunRow(row).verdict, row.expectation == Expectation::kStopped ? Verdict::kStopped : Verdict::kSkipped);
  row.error = ENOSYS;
  const Finding finding = RunRow(row);
  EXPECT_FALSE(finding.as_expected);
  EXPECT_EQ(finding.verdict, Verdict::kLanded);
}

TEST(MatrixTest, ACallThatIsRefusedAnywayIsNoProofOfHardening) {
  static constexpr Context kRefused = {"refused", [](Arena& arena, const std::function<void()>& deed, bool) {
                                         errno = EPERM;
                                         arena.Refused(-1);
                                         deed();
                                       }};
  Row row = FindRow("mprotect.mov/undo_log/mprotect_writable_hardened");
  row.setting = &kRefused;
  const Finding finding = RunRow(row);
  EXPECT_FALSE(finding.as_expected);
  EXPECT_NE(finding.reason.find("refused without"), std::string::npos) << finding.reason;
}

}  // namespace
}  // namespace lightning::routes
