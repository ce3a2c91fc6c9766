#include "store/gate/breach.h"

#include <mutex>
#include <utility>

#include "store/gate/gate.h"

namespace lightning {
namespace {

std::mutex mutex;
BreachHandling handling;

}  // namespace

const char* BreachName(Breach breach) {
  switch (breach) {
    case Breach::kAlias:
      return "alias";
    case Breach::kLostKey:
      return "lost-key";
    case Breach::kPermissions:
      return "permissions";
    case Breach::kMissing:
      return "missing";
    case Breach::kGuard:
      return "guard";
    case Breach::kInherited:
      return "inherited";
    case Breach::kOpenRights:
      return "open-rights";
    case Breach::kReentered:
      return "reentered";
  }
  return "unknown";
}

const char* BreachMessage(Breach breach) {
  switch (breach) {
    case Breach::kAlias:
      return "this process has a writable mapping of the segment that the store has not made: unmap it, or map the "
             "file for reading only";
    case Breach::kLostKey:
      return "the control mapping has lost its protection key: look for pkey_mprotect, pkey_free, mprotect with "
             "PROT_EXEC or remap_file_pages in this program, and start it anew";
    case Breach::kPermissions:
      return "a mapping of the store has other permissions than the store gave it: look for mprotect on addresses that "
             "are not the program's own, and start it anew";
    case Breach::kMissing:
      return "a mapping of the store is gone: look for munmap, mremap or MAP_FIXED on addresses that are not the "
             "program's own, and start it anew";
    case Breach::kGuard:
      return "a guard region of the store is gone or can be accessed: look for mprotect or MAP_FIXED on addresses that "
             "are not the program's own, and start it anew";
    case Breach::kInherited:
      return "a forked child would inherit the control mapping: look for MADV_DOFORK in this program, and start it "
             "anew";
    case Breach::kOpenRights:
      return "a window had been left open (by longjmp, swapcontext, a thread's start inside it or an edited signal "
             "frame): the rights are taken away now; find out who left it";
    case Breach::kReentered:
      return "an operation was entered from a signal handler that interrupted another, or after one was left half done "
             "(by longjmp, an exception or cancellation): do neither, and start the process anew";
  }
  return "unknown";
}

BreachHandling SetBreachHandler(BreachHandling next) {
  const std::lock_guard lock(mutex);
  return std::exchange(handling, next);
}

Status ReportBreach(Breach breach, const char* message) {
  BreachHandling current;
  {
    const std::lock_guard lock(mutex);
    current = handling;
  }
  if (current.handler == nullptr) Gate::Fail(message != nullptr ? message : BreachMessage(breach));
  current.handler(breach, message != nullptr ? message : BreachMessage(breach), current.context);
  return Status(Code::kIsolationBroken, BreachMessage(breach));
}

}  // namespace lightning
