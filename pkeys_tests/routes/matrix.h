// The isolation matrix: one row for each way in which a stray write could reach the store, and what must become of it.
// The tests, the report of ci/isolation and docs/isolation.md all come from this one table.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "lightning/options.h"
#include "pkeys_tests/routes/act.h"

namespace lightning::routes {

enum class Expectation : uint8_t { kStopped, kDetected, kOutOfScope };
enum class Verdict : uint8_t { kStopped, kDetected, kLanded, kSkipped };
const char* Name(Expectation expectation);
const char* Name(Verdict verdict);

// What finds a wrong state that no fault showed.
enum class Detector : uint8_t { kNone, kNextOperation, kAudit, kAttach };

// What the program has asked for beyond the mode itself. kHandler: a call of its own instead of the end, where
// isolation is found broken.
enum class Extra : uint8_t { kNone, kSealed, kHardened, kHandler };

struct Row {
  std::string family;  // heading in the documentation
  std::string route;   // how the write is made
  std::string target;  // what is written
  std::string context;
  Isolation mode = Isolation::kNone;
  Expectation expectation = Expectation::kStopped;
  Detector detector = Detector::kNone;
  Extra extra = Extra::kNone;  // of the attack; the control goes without
  bool lands = false;          // bytes of the segment change; not so "detected" where the danger is one to come
  // Out of scope: the fact for which it does not land in this machine but is stopped, or null.
  const char* (*spared)() = nullptr;
  std::string breach;   // detected as what: the kinds that are found, and no others ("alias, missing")
  int error = 0;        // sealed or hardened, and stopped: the error with which the call is refused
  std::string why;      // one sentence: what stops or finds it, or why nothing does
  bool sample = false;  // part of every run of the tests, also in the emulated machine

  const Act* act = nullptr;
  const Target* place = nullptr;
  const Context* setting = nullptr;

  // route/target/context
  std::string Name() const { return route + "/" + target + "/" + context; }
  // The GoogleTest test that runs it: Isolation/MODE.ROUTE/TARGET/CONTEXT
  std::string Test() const { return Suite() + "." + Name(); }
  std::string Suite() const { return std::string("Isolation/") + IsolationName(mode); }
};

// All rows, in the order of the documentation. Made once.
const std::vector<Row>& Matrix();

// What a run found.
struct Finding {
  Verdict verdict = Verdict::kSkipped;
  bool as_expected = false;
  bool judged = false;  // control and attack came as far as they should, so that the verdict says something
  std::string reason;   // the missing fact of a skip, or what was seen instead of the expectation
  std::string seen;     // signal, si_code, key, errno, bytes: for people
};

// A gate made weak on purpose, to show that the matrix sees it.
enum class Weakness : uint8_t { kNone, kOpenWindow, kNoProtection, kSilentAct };
const char* Name(Weakness weakness);

// Why a row that is stopped stands even so weakened; null for one that then must fail.
const char* Immune(const Row& row, Weakness weakness);

// Runs a row in a child, and judges from this process by the bytes of the segment's file.
Finding RunRow(const Row& row, Weakness weakness = Weakness::kNone);

// Runs a row that is stopped under a weakness, under which it must fail, or stand where it is immune: `as_expected`
// says whether it did.
Finding Prove(const Row& row, Weakness weakness);

}  // namespace lightning::routes
