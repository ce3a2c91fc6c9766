// Looking after the isolation of this process: an audit of its mappings, a say in what happens when isolation is found
// broken, and hardening. docs/hardening.md says what each is good for and what it costs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "lightning/status.h"

namespace lightning {

// What can be found wrong. The numbers are part of the C API: append, never renumber.
enum class Breach : uint8_t {
  kAlias = 1,        // a writable mapping of the segment that the store has not made
  kLostKey = 2,      // the control mapping has lost its protection key, or the key was freed
  kPermissions = 3,  // one of the store's mappings has other permissions than the store gave it
  kMissing = 4,      // one of the store's mappings is gone, whole or in part
  kGuard = 5,        // a guard region is gone, or can be accessed
  kInherited = 6,    // a child made by fork would get the control mapping
  kOpenRights = 7,   // a window was left open: this thread has rights outside of one, or (in other modes than keys)
                     // the client's last one was never closed
  kReentered = 8,    // an operation was entered inside another one of the same thread, or one was left half done
};
// "alias", "lost-key", "permissions", "missing", "guard", "inherited", "open-rights", "reentered".
const char* BreachName(Breach breach);
// What it means and what to do, one sentence with static storage.
const char* BreachMessage(Breach breach);

struct Finding {
  Breach breach;
  uint64_t begin = 0, end = 0;  // addresses, where it is about a mapping
  std::string message;          // one line: where it is, what it means and what to do
};

struct AuditReport {
  size_t clients = 0;  // of this process, whose mappings were looked at
  std::vector<Finding> findings;
  bool ok() const { return findings.empty(); }
};

// Compares what /proc/self/smaps says with what the clients of this process have mapped. Changes nothing,
// and may be called by any thread at any time, outside operations and signal handlers. About 0.3 ms, more
// where the segment is large and populated. A page of mode mprotect that another thread's window has open is no
// finding. kOpenRights is about the calling thread alone: nobody can see the rights of another one. What is found is
// reported to the caller and nobody else: no handler is called, and the process goes on.
AuditReport Audit();

// Called in the thread that met the breach, outside any window and with the thread's rights taken away, before the
// operation returns kIsolationBroken; the store is as it was before. `message` has static storage, or lives as long as
// the call. The handler may do anything but call an operation of the same client.
using BreachHandler = void (*)(Breach breach, const char* message, void* context);
struct BreachHandling {
  BreachHandler handler = nullptr;
  void* context = nullptr;
};
// What an operation (leaked windows, a handler or thread with wrong rights) and Connect (an audit's findings) do when
// they find isolation broken, in the whole process. Without a handler, as at the start: a message and abort(), since a
// process that has lost its isolation may harm the store at any time. Returns what was set before. Any thread.
BreachHandling SetBreachHandler(BreachHandling handling);

// What Harden forbids this process from now on and for good; its children inherit it.
struct HardenOptions {
  // seccomp, all threads: mprotect, pkey_mprotect, munmap, mremap, madvise, remap_file_pages and MAP_FIXED on the
  // mappings that the clients have now, but by the store itself; pkey_free of the store's key; process_vm_writev,
  // ptrace and userfaultfd altogether. They fail with EPERM. Sets no_new_privs.
  bool system_calls = true;
  // Landlock, this thread and those that it starts from now on: opening for writing the segments, anything under /proc
  // (/proc/self/mem), and what is made later in the segments' folders, in those above them, or in /. Connecting to
  // the segments again is refused, too. Descriptors that are open already stay as they are. Sets no_new_privs.
  bool files = true;
};
// For the clients that are attached now; call it again after more of them. kUnsupported where the kernel lacks what was
// asked for, and then nothing has changed. Cannot be undone: a client that closes afterwards leaves its addresses
// reserved.
Status Harden(const HardenOptions& options = {});

}  // namespace lightning
