// The judge is the process that started the row's: it has the segment's file open, and compares bytes.
#pragma once

#include <cstdint>
#include <string>

#include "lightning/status.h"
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
  bool begun = false;     // it came as far as its act
  bool attacked = false;  // the act came to its end, or to a fault
  bool taken = false;     // of Sign::kIgnored: the kernel has shown that it took the request
  Fault fault;
  bool refused = false;
  int error = 0;
  bool helper_killed = false;
  // The kinds of breach that an audit found, before and after, and that a handler was told of: "alias, missing".
  char found_before[100] = {}, found[100] = {}, told[100] = {};
  int times_told = 0;
  bool operating = false;   // the next operation, or the next client's attaching, began
  Code answer = Code::kOk;  // and this is what it said
  // Of the control:
  bool controlled = false;  // it is over
  Fault control_fault;
  int control_error = 0;
};

// The row's end of the socket to the judge. Each call comes back when the judge is done.
class JudgeLine {
 public:
  explicit JudgeLine(int socket) : socket_(socket) {}
  void Snapshot() { Call('S', 0, 0); }
  // The control is about to store: what changes from now on is its own doing.
  void ControlReached() { Call('R', 0, 0); }
  // Counts changed bytes, and puts them back.
  void CompareControl() { Call('C', 0, 0); }
  void CompareAttack() { Call('A', 0, 0); }
  void CompareOperation() { Call('O', 0, 0); }
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
