// Runs code that may fault, and tells how.
#pragma once

#include <cstdint>
#include <functional>

namespace lightning::routes {

struct Fault {
  bool happened = false;
  int signal = 0;
  int code = 0;          // si_code: SEGV_PKUERR, SEGV_ACCERR, SEGV_MAPERR
  int key = -1;          // si_pkey, for SEGV_PKUERR
  uint64_t address = 0;  // si_addr
};

// Catches SIGSEGV and SIGBUS from now on, for Guarded; outside of it they end the process as before. The calling thread
// gets an alternate stack, so that a stack pointer gone astray is no matter.
void CatchFaults();

// Runs `body` up to its first fault. The thread goes on with the rights that it had at the fault: the handler returns
// by sigreturn, which puts them back, and only then leaves the body. Nests, also in signal handlers.
Fault Guarded(const std::function<void()>& body);

}  // namespace lightning::routes
