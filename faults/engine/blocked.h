// Whether a process will ever answer, told from what the kernel says about it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

namespace lightning::faults {

// What it has used up so far.
struct ProcessUse {
  uint64_t processor_ms = 0;
  uint64_t sleeps = 0;  // voluntary context switches
};
ProcessUse UseOf(pid_t process);

// When every thread of it is blocked in a system call that only another process can end (a futex without a timeout, a
// file lock, a semaphore): which. Else "". Where the caller knows that every other process is dead or waits for the
// caller, that is a proof of a deadlock.
std::string BlockedForever(pid_t process);

}  // namespace lightning::faults
