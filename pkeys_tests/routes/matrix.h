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
enum class Detector : uint8_t { kNone, kNextOperation, kAudit };

// What the program has asked for beyond the mode itself.
enum class Extra : uint8_t { kNone, kSealed, kHardened };

struct Row {
  std::string family;  // heading in the documentation
  std::string route;   // how the write is made
  std::string target;  // what is written
  std::string context;
  Isolation mode = Isolation::kNone;
  Expectation expectation = Expectation::kStopped;
  Detector detector = Detector::kNone;
  Extra extra = Extra::kNone;  // of the attack; the control goes without
  // Out of scope: what happens, as seen on hardware; a run that sees something else is not a failure.
  bool lands = false;
  std::string why;       // one sentence: what stops or finds it, or why nothing does
  std::string emulated;  // where the emulated machine differs, what it does
  bool sample = false;   // part of every run of the tests, also in the emulated machine

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
  std::string reason;  // the missing fact of a skip, or what was seen instead of the expectation
  std::string seen;    // signal, si_code, key, errno, bytes: for people
};

// A gate made weak on purpose, to show that the matrix sees it.
enum class Weakness : uint8_t { kNone, kOpenWindow, kNoProtection, kSilentAct };
const char* Name(Weakness weakness);

// Runs a row in a child, and judges from this process by the bytes of the segment's file.
Finding RunRow(const Row& row, Weakness weakness = Weakness::kNone);

}  // namespace lightning::routes
