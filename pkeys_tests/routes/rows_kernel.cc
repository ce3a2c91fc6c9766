// What the kernel writes, and ways round every mapping.
#include <string_view>

#include "pkeys_tests/routes/act.h"
#include "pkeys_tests/routes/maker.h"

namespace lightning::routes {
namespace {

void AddSyscalls(Maker& make) {
  make.Family("The kernel, asked to write");
  for (const Isolation mode : {kKeys, kMprotect}) {
    for (const Act& act : Syscalls())
      make.Add(
          mode, act, "undo_log", FindContext("main_thread"),
          Stopped(act.sign == Sign::kEither ? "the vDSO stores in user mode, and faults as any store" : kByKernel));
    for (const char* target : {"superblock", "index", "sealed_object"}) {
      make.Add(mode, "read", target, "main_thread", Stopped(kByKernel));
      make.Add(mode, "recv", target, "main_thread", Stopped(kByKernel));
    }
    for (const char* context : {"new_thread", "older_thread", "handler", "thread_during_window", "handler_in_window"})
      make.Add(mode, "pread", "undo_log", context, Stopped(kByKernel));
    for (const Act& act : AsyncReads()) {
      const std::string_view name = act.name;
      const bool registered = name == "io_uring_registered_in_window";
      Outcome outcome = Stopped("the kernel's thread has the rights of the one that made it: EFAULT");
      if (registered)
        outcome = Lands("the pages were pinned while they were writable; no window of the store pins any");
      if (name == "io_uring_madvise_remove")
        outcome = Lands("removing pages asks for no rights to them; seccomp does not see what a ring is asked for");
      if (name == "read_completing_in_window")
        outcome = mode == kKeys ? Stopped("the waiting thread has its own rights, not the window's: EFAULT")
                                : Lands("the few pages that a window has opened are open to the whole process");
      if (name.ends_with("_of_window") && mode == kKeys)
        outcome = Lands("a kernel thread born in a window keeps the window's rights; no window of the store makes one");
      make.Add(mode, act, "undo_log", FindContext("main_thread"), outcome);
    }
  }
}

constexpr char kNoFrame[] = "before Linux 6.12 the kernel cannot write the frame, and sends SIGSEGV";
const char* NoFrameIntoKeys() { return KernelIsBefore(6, 12) ? kNoFrame : nullptr; }

void AddKernelWrites(Maker& make) {
  make.Family("The kernel, unasked");
  for (const Isolation mode : {kKeys, kMprotect}) {
    for (const char* act : {"clear_child_tid", "set_child_tid", "set_parent_tid"})
      make.Add(mode, act, "undo_log", "main_thread",
               Stopped("the kernel heeds the thread's rights, and gives up silently"));
    make.Add(mode, "robust_list", "undo_log", "main_thread",
             Stopped("the kernel cannot mark an owner dead here, so the store's locks do not rely on it"));
    make.Add(mode, "rseq", "free_heap", "main_thread",
             Stopped("the kernel cannot update the area, and ends the thread"));
    for (const char* act : {"signal_frame", "alternate_stack"}) {
      Outcome outcome = mode == kKeys ? Lands(
                                            "since Linux 6.12 the kernel writes signal frames with all keys open; "
                                            "a stack pointer inside the segment is beyond the gate")
                                            .SparedBy(NoFrameIntoKeys)
                                      : Stopped("the kernel cannot write the frame, and sends SIGSEGV");
      make.Add(mode, act, "free_heap", "main_thread", outcome);
    }
    for (const char* act : {"process_vm_writev", "proc_self_mem", "ptrace_poke"}) {
      make.Add(mode, act, "undo_log", "main_thread",
               mode == kKeys ? Lands("access from outside knows no keys; a seccomp filter or Landlock can forbid it")
                             : Stopped("a shared mapping that is read-only is so for debuggers, too"));
    }
  }
  for (const Isolation mode : {kHidden, kNone}) {
    for (const char* act : {"read", "pread", "recv", "process_vm_writev", "proc_self_mem", "ptrace_poke"})
      make.Add(mode, act, "undo_log", "main_thread", Lands(LandingOf(mode)));
  }
  make.Family("The store, asked to write");
  for (const Isolation mode : {kKeys, kMprotect}) {
    make.Add(mode, "out_parameter_of_stats", "undo_log", "main_thread",
             Stopped(mode == kKeys ? "operations write their results when their window is closed: SEGV_PKUERR"
                                   : "operations write their results when their window is closed: SEGV_ACCERR"));
  }
  make.Family("The file itself");
  for (const Isolation mode : {kKeys, kMprotect, kHidden, kNone}) {
    for (const Act& act : FileWrites()) {
      const std::string_view name = act.name;
      Outcome outcome = Lands("the file is its user's: whoever opens it again, or removes its pages, changes it");
      if (name == "second_mapping" && mode != kNone)
        outcome = Audited("alias", "an audit finds a writable mapping that the store has not made");
      make.Add(mode, act, "undo_log", FindContext("main_thread"), outcome);
    }
  }
}

}  // namespace

void AddKernelRows(Maker& make) {
  AddSyscalls(make);
  AddKernelWrites(make);
}

}  // namespace lightning::routes
