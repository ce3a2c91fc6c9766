// The one seam to the world outside: all that the store asks of an operating system while it runs. A harness puts its
// own in, with simulated clients and time.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "lightning/status.h"
#include "store/segment/atomic.h"
#include "store/segment/segment_file.h"

namespace lightning {

// Who a client is, as the kernel knows it. Equal numbers mean the same process for as long as the machine runs.
struct ClientIdentity {
  uint64_t pid = 0;
  uint64_t start_time = 0;  // clock ticks since boot
  uint64_t namespaces = 0;  // pid numbers and start times compare only within the same ones
  uint64_t boot = 0;
};

using Nanoseconds = std::chrono::nanoseconds;

// When a wait that begins at `now` ends. The longest timeout there is stands for ever, and must not wrap round.
// REQUIRES: now >= 0.
constexpr Nanoseconds DeadlineAfter(Nanoseconds now, Nanoseconds timeout) {
  return timeout > Nanoseconds::max() - now ? Nanoseconds::max() : now + timeout;
}

// Who recovers dead clients before it has a slot of its own; alive while it holds that byte's lock.
inline constexpr uint32_t kAttacher = 1024;

class Kernel {
 public:
  virtual ~Kernel() = default;

  // Announces that this process uses slot `slot`, before it claims the slot.
  virtual Status Announce(uint32_t slot) = 0;
  // Takes that back.
  virtual void Retract(uint32_t slot) = 0;
  // Makes this process the only one that attaches without a slot, as slot number kAttacher; kTimeout after `limit`.
  virtual Status BeginAttach(Nanoseconds limit) = 0;
  virtual void EndAttach() = 0;
  virtual ClientIdentity Self() = 0;
  // False only when the kernel says that the process is gone (rule 7). `identity` is null while the client has not
  // written it yet. Never while a window is open: this asks the system.
  virtual bool IsAlive(uint32_t slot, const ClientIdentity* identity) = 0;

  // Monotonic time.
  virtual Nanoseconds Now() = 0;
  // Gives up the processor for about `pause`; zero means only to let others run.
  virtual void Pause(Nanoseconds pause) = 0;
  // Sleeps while *word == expected, for at most `limit`. May return early.
  virtual void Wait(const Atomic<uint32_t>& word, uint32_t expected, Nanoseconds limit) = 0;
  virtual void WakeAll(const Atomic<uint32_t>& word) = 0;
  // False in a child that was forked after this was made.
  virtual bool IsSameProcess() const = 0;
};

// Each client holds a shared lock on byte `slot` of the segment file, which the kernel drops at its death; in the same
// namespaces, pid and start time decide, since a forked child may keep the lock. `liveness` is kept while attached and
// may be read-only; `attach` is writable and kept until EndAttach.
std::unique_ptr<Kernel> MakeLinuxKernel(ScopedFd liveness, ScopedFd attach);

}  // namespace lightning
