// Makes the rows of the matrix. Each function of rows_*.cc adds some families, in the order of the documentation.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "pkeys_tests/routes/matrix.h"

namespace lightning::routes {

constexpr Isolation kKeys = Isolation::kKeys, kMprotect = Isolation::kMprotect, kHidden = Isolation::kHidden,
                    kNone = Isolation::kNone;

// What becomes of a row, and why. Fields as in Row.
struct Outcome {
  Expectation expectation = Expectation::kStopped;
  const char* why = nullptr;
  bool lands = false;
  Detector detector = Detector::kNone;
  const char* breach = "";
  int error = 0;
  const char* (*spared)() = nullptr;

  // Found, though nothing of the segment changes.
  Outcome Unharmed() const {
    Outcome outcome = *this;
    outcome.lands = false;
    return outcome;
  }
  Outcome SparedBy(const char* (*fact)()) const {
    Outcome outcome = *this;
    outcome.spared = fact;
    return outcome;
  }
};
inline Outcome Stopped(const char* why) { return {Expectation::kStopped, why}; }
// A sealed or hardened row: the call that would do harm is refused with this error.
inline Outcome Refused(const char* why, int error) {
  return {Expectation::kStopped, why, false, Detector::kNone, "", error};
}
inline Outcome Found(const char* breach, const char* why) {
  return {Expectation::kDetected, why, true, Detector::kNextOperation, breach};
}
inline Outcome Audited(const char* breach, const char* why) {
  return {Expectation::kDetected, why, true, Detector::kAudit, breach};
}
inline Outcome FoundAtAttach(const char* breach, const char* why) {
  return {Expectation::kDetected, why, true, Detector::kAttach, breach};
}
inline Outcome Lands(const char* why) { return {Expectation::kOutOfScope, why, true}; }

constexpr char kByKey[] = "the key's pages are closed to this thread: SEGV_PKUERR";
constexpr char kByPages[] = "the pages are read-only while no window is open: SEGV_ACCERR";
constexpr char kByKernel[] = "the kernel's own copy heeds the rights of the thread: EFAULT";
constexpr char kHiddenOnly[] = "aimed at the address that is hidden: nothing stops it";
constexpr char kUnprotected[] = "no protection: that is what the mode says";
inline const char* StopOf(Isolation mode) { return mode == kKeys ? kByKey : kByPages; }
inline const char* LandingOf(Isolation mode) { return mode == kHidden ? kHiddenOnly : kUnprotected; }

class Maker {
 public:
  explicit Maker(std::vector<Row>& rows) : rows_(rows) {}

  void Family(const char* name) { family_ = name; }
  void Add(Isolation mode, const char* act, const char* target, const char* context, const Outcome& outcome,
           Extra extra = Extra::kNone) {
    Add(mode, FindAct(act), target, FindContext(context), outcome, extra);
  }
  void Add(Isolation mode, const Act& act, const char* target, const Context& context, const Outcome& outcome,
           Extra extra = Extra::kNone) {
    constexpr const char* kOfExtra[] = {"", "_sealed", "_hardened", "_with_handler"};
    Row row;
    row.family = family_;
    row.route = act.name;
    row.target = target;
    row.context = context.name;
    if (outcome.detector == Detector::kAttach) row.context += "_then_attach";
    row.context += kOfExtra[static_cast<int>(extra)];
    row.mode = mode;
    row.expectation = outcome.expectation;
    row.detector = outcome.detector;
    row.extra = extra;
    row.lands = outcome.lands;
    row.spared = outcome.spared;
    row.breach = outcome.breach;
    row.error = outcome.error;
    row.why = outcome.why;
    row.act = &act;
    row.place = &FindTarget(target);
    row.setting = &context;
    rows_.push_back(std::move(row));
  }

 private:
  std::vector<Row>& rows_;
  std::string family_;
};

void AddStoreRows(Maker& make);
void AddKernelRows(Maker& make);
void AddMappingRows(Maker& make);
void AddLeakRows(Maker& make);
void AddHardenedRows(Maker& make);

}  // namespace lightning::routes
