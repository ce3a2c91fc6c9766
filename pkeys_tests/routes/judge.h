// The judge is the process that started the row's: it has the segment's file open, and compares bytes.
#pragma once

#include <cstdint>
#include <string>

#include "pkeys_tests/routes/guard.h"
#include "pkeys_tests/routes/matrix.h"

namespace lightning::routes {

// What the row's process leaves behind, in memory that both share.
struct Report {
  bool skipped = false;
  char fact[200] = {};
  uint64_t target = 0;  // the address at which the attack aims
  int key = 0;          // of the control mapping
  // Of the attack:
  bool attacked = false;  // it came to its end
  Fault fault;
  bool refused = false;
  int error = 0;
  bool helper_killed = false;
  uint64_t breaches_before = 0, breaches = 0;  // findings of audits before and after
  char breach[200] = {};
  bool operating = false, operated = false;  // the next operation began, and went well
  // Of the control:
  bool controlled = false;
  Fault control_fault;
  int control_error = 0;
};

// The row's end of the socket to the judge. Each call comes back when the judge is done.
class JudgeLine {
 public:
  explicit JudgeLine(int socket) : socket_(socket) {}
  void Snapshot() { Call('S', 0, 0); }
  // Counts changed bytes, and puts them back.
  void CompareControl() { Call('C', 0, 0); }
  void CompareAttack() { Call('A', 0, 0); }
  void Poke(uint64_t offset, uint64_t value) { Call('P', offset, value); }

 private:
  void Call(char kind, uint64_t offset, uint64_t value);
  int socket_;
};

struct JudgeMessage {
  char kind;
  uint64_t offset, value;
};

}  // namespace lightning::routes
