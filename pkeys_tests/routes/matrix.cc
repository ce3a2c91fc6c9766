#include "pkeys_tests/routes/matrix.h"

#include <algorithm>
#include <cstdlib>

namespace lightning::routes {
namespace {

constexpr Isolation kKeys = Isolation::kKeys, kMprotect = Isolation::kMprotect, kHidden = Isolation::kHidden,
                    kNone = Isolation::kNone;

// What becomes of a row, and why.
struct Outcome {
  Expectation expectation;
  const char* why;
  bool lands = false;
  Detector detector = Detector::kNone;
};
Outcome Stopped(const char* why) { return {Expectation::kStopped, why}; }
Outcome Found(const char* why) { return {Expectation::kDetected, why, true, Detector::kNextOperation}; }
Outcome Audited(const char* why) { return {Expectation::kDetected, why, true, Detector::kAudit}; }
Outcome Lands(const char* why) { return {Expectation::kOutOfScope, why, true}; }

constexpr char kByKey[] = "the key's pages are closed to this thread: SEGV_PKUERR";
constexpr char kByPages[] = "the pages are read-only while no window is open: SEGV_ACCERR";
constexpr char kByKernel[] = "the kernel's own copy heeds the rights of the thread: EFAULT";

const char* StopOf(Isolation mode) { return mode == kKeys ? kByKey : kByPages; }

class Maker {
 public:
  explicit Maker(std::vector<Row>& rows) : rows_(rows) {}

  void Family(const char* name) { family_ = name; }
  Row& Add(Isolation mode, const char* act, const char* target, const char* context, const Outcome& outcome) {
    return Add(mode, FindAct(act), target, FindContext(context), outcome);
  }
  Row& Add(Isolation mode, const Act& act, const char* target, const Context& context, const Outcome& outcome) {
    Row row;
    row.family = family_;
    row.route = act.name;
    row.target = target;
    row.context = context.name;
    row.mode = mode;
    row.expectation = outcome.expectation;
    row.detector = outcome.detector;
    row.lands = outcome.lands;
    row.why = outcome.why;
    row.act = &act;
    row.place = &FindTarget(target);
    row.setting = &context;
    rows_.push_back(std::move(row));
    return rows_.back();
  }

 private:
  std::vector<Row>& rows_;
  std::string family_;
};

void AddStores(Maker& make) {
  make.Family("Stores of every kind");
  for (const Isolation mode : {kKeys, kMprotect}) {
    for (const auto acts : {Stores(), WideStores()}) {
      for (const Act& act : acts) make.Add(mode, act, "undo_log", FindContext("main_thread"), Stopped(StopOf(mode)));
    }
  }
}

constexpr const char* kGuarded[] = {"superblock",  "central_state",       "central_lock",   "slot_identity",
                                    "slot_state",  "slot_lock",           "undo_log_count", "index",
                                    "bucket_lock", "object_table",        "block_table",    "event_ring",
                                    "free_heap",   "unsealed_of_another", "sealed_object"};
constexpr const char* kViews[] = {"sealed_object_view", "undo_log_view", "superblock_view"};
constexpr const char* kGuards[] = {"guard_below", "guard_above", "guard_far_below", "guard_far_above"};

void AddTargets(Maker& make) {
  make.Family("Whatever a store may hit");
  for (const Isolation mode : {kKeys, kMprotect}) {
    for (const char* act : {"mov", "lock_add", "rep_stosb", "sse_movdqu"}) {
      for (const char* target : kGuarded) make.Add(mode, act, target, "main_thread", Stopped(StopOf(mode)));
    }
  }
  for (const Isolation mode : {kKeys, kMprotect, kHidden}) {
    for (const char* act : {"mov", "lock_add", "rep_stosb"}) {
      for (const char* target : kViews)
        make.Add(mode, act, target, "main_thread",
                 Stopped("the view, by which all reads go, is read-only: SEGV_ACCERR"));
    }
  }
  for (const Isolation mode : {kKeys, kMprotect, kHidden, kNone}) {
    for (const char* target : kGuards) {
      const Outcome stopped =
          Stopped(mode == kHidden ? "a gigabyte without access on each side of the control mapping: SEGV_ACCERR"
                                  : "a megabyte without access on each side of the control mapping: SEGV_ACCERR");
      make.Add(mode, "mov", target, "main_thread", stopped);
    }
  }
  for (const Isolation mode : {kKeys, kMprotect, kHidden}) {
    make.Add(mode, "mov", "client_page", "main_thread",
             Lands("a client's own pins and counters stand outside the gate; others take them for hints"));
    make.Add(mode, "mov", "doorbells", "main_thread", Lands("doorbells are hints: at worst a waiter wakes late"));
    make.Add(mode, "mov", "unsealed_in_this_process", "main_thread",
             Lands("an unsealed object is its creator's to write, so its process's"));
  }
  for (const char* act : {"mov", "rep_stosb"}) {
    for (const char* target : {"superblock", "undo_log", "index", "sealed_object"}) {
      make.Add(kHidden, act, target, "main_thread", Lands("aimed at the address that is hidden: nothing stops it"));
      make.Add(kNone, act, target, "main_thread", Lands("no protection: that is what the mode says"));
    }
  }
}

void AddContexts(Maker& make) {
  make.Family("Threads, signal handlers, coroutines");
  for (const char* act : {"mov", "rep_stosb"}) {
    for (const Context& context : Contexts()) {
      const std::string_view name = context.name;
      if (name == "main_thread") continue;
      const bool on_it = name.ends_with("_on_it");
      make.Add(kKeys, FindAct(act), "undo_log", context,
               Stopped(on_it ? "a window gives its rights to its own thread, and handlers begin without: SEGV_PKUERR"
                             : kByKey));
      if (name == "after_handler_that_opened") continue;
      make.Add(
          kMprotect, FindAct(act), "undo_log", context,
          on_it ? Lands("the few pages that a window has opened are open to the whole process") : Stopped(kByPages));
    }
  }
  make.Family("Children: fork, vfork, exec");
  for (const Isolation mode : {kKeys, kMprotect, kHidden}) {
    for (const char* context : {"fork", "fork_in_window", "fork_of_fork"})
      make.Add(mode, "mov", "undo_log", context,
               Stopped("a child gets no control mapping (MADV_DONTFORK): SEGV_MAPERR"));
    make.Add(mode, "mov", "undo_log", "exec", Stopped("a new program has no mapping: SEGV_MAPERR"));
    if (mode == kHidden) continue;
    make.Add(mode, "mov", "undo_log", "vfork", Stopped(StopOf(mode)));
    make.Add(mode, "rep_stosb", "undo_log", "vfork", Stopped(StopOf(mode)));
    make.Add(mode, "mov", "undo_log", "vfork_in_window",
             Lands("the child is its parent for a while, with the parent's window; no window of the store makes one"));
  }
}

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
      if (name.ends_with("_of_window") && mode == kKeys)
        outcome = Lands("a kernel thread born in a window keeps the window's rights; no window of the store makes one");
      make.Add(mode, act, "undo_log", FindContext("main_thread"), outcome);
    }
  }
}

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
                                      : Stopped("the kernel cannot write the frame, and ends the process");
      make.Add(mode, act, "free_heap", "main_thread", outcome);
    }
    for (const char* act : {"process_vm_writev", "proc_self_mem", "ptrace_poke"}) {
      make.Add(mode, act, "undo_log", "main_thread",
               mode == kKeys ? Lands("access from outside knows no keys; a seccomp filter or Landlock can forbid it")
                             : Stopped("a shared mapping that is read-only is so for debuggers, too"));
    }
  }
  make.Family("The file itself");
  for (const Isolation mode : {kKeys, kMprotect}) {
    for (const Act& act : FileWrites()) {
      const bool alias = std::string_view(act.name) == "second_mapping";
      make.Add(mode, act, "undo_log", FindContext("main_thread"),
               alias ? Audited("an audit finds a writable mapping that the store has not made")
                     : Lands("the file is its user's: whoever opens it again, or removes its pages, changes it"));
    }
  }
}

void AddMappings(Maker& make) {
  make.Family("Changes to the mappings");
  struct Change {
    const char* context;
    Outcome keys, mprotect;
    const char* target = "undo_log";
  };
  const Outcome kept = Stopped("the key stays with the mapping: SEGV_PKUERR"), pages = Stopped(kByPages);
  const Outcome alias = Audited("an audit finds a control mapping without its key");
  const Outcome open = Audited("an audit finds pages that are writable and should not be");
  const Outcome view = Audited("an audit finds the view writable");
  const Outcome elsewhere = Audited(
      "the segment is unharmed, but the store's own writes go astray from then on: an audit finds the mapping gone");
  const Outcome inherited = Audited("a forked child would get the control mapping: an audit finds it");
  const Change changes[] = {
      {"mmap_over_it", alias, open},
      {"mmap_anonymous_over_it", elsewhere, elsewhere},
      {"mmap_private_over_it", elsewhere, elsewhere},
      {"mmap_over_view", view, view, "undo_log_view"},
      {"mprotect_of_view", view, view, "undo_log_view"},
      {"munmap", Stopped("nothing is mapped there: SEGV_MAPERR"), Stopped("nothing is mapped there: SEGV_MAPERR")},
      {"mremap_move", kept, pages},
      {"mremap_shrink_and_grow", kept, pages},
      {"mremap_dontunmap", kept, pages},
      {"mprotect_writable", kept, open},
      {"mprotect_exec_and_back",
       Audited("execute-only pages take a key of the kernel's and lose ours: an audit finds it"), open},
      {"mprotect_none_and_back", kept, open},
      {"pkey_mprotect_to_key_0", alias, open},
      {"remap_file_pages", Audited("the kernel maps the pages anew, without the key: an audit finds it"), pages},
      {"madvise_dontneed", kept, pages},
      {"madvise_free", kept, pages},
      {"madvise_pageout", kept, pages},
      {"madvise_dofork", inherited, inherited},
      {"guard_unmapped", Stopped("nothing is mapped there: SEGV_MAPERR"),
       Stopped("nothing is mapped there: SEGV_MAPERR"), "guard_below"},
      {"userfaultfd_copy", Lands("pages that were removed from the file are whoever fills them"),
       Lands("pages that were removed from the file are whoever fills them")},
  };
  for (const Change& change : changes) {
    make.Add(kKeys, "mov", change.target, change.context, change.keys);
    if (std::string_view(change.context).starts_with("pkey_")) continue;
    make.Add(kMprotect, "mov", change.target, change.context, change.mprotect);
  }
  for (const char* context : {"mmap_over_view", "mprotect_of_view"})
    make.Add(kHidden, "mov", "undo_log_view", context, view);
}

// What a program may ask for on top: Options::seal, and Harden().
void AddExtras(Maker& make) {
  make.Family("With seals and hardening");
  const auto add = [&](Isolation mode, const char* act, const char* target, const char* context, Extra extra,
                       const char* why) { make.Add(mode, act, target, context, Stopped(why)).extra = extra; };
  const char* const sealed = "mseal forbids the change: EPERM";
  const char* const filtered = "the seccomp filter forbids the call: EPERM";
  for (const char* context : {"mmap_over_it", "mprotect_exec_and_back", "pkey_mprotect_to_key_0", "remap_file_pages"}) {
    add(kKeys, "mov", "undo_log", context, Extra::kSealed, sealed);
    add(kKeys, "mov", "undo_log", context, Extra::kHardened, filtered);
  }
  for (const Isolation mode : {kKeys, kMprotect, kHidden}) {
    for (const char* context : {"mmap_over_view", "mprotect_of_view"}) {
      add(mode, "mov", "undo_log_view", context, Extra::kSealed, sealed);
      add(mode, "mov", "undo_log_view", context, Extra::kHardened, filtered);
    }
  }
  for (const char* context : {"mmap_over_it", "mprotect_writable", "mprotect_exec_and_back"})
    add(kMprotect, "mov", "undo_log", context, Extra::kHardened, filtered);
  add(kKeys, "mov", "undo_log", "after_key_allocated_again", Extra::kHardened, filtered);
  for (const Isolation mode : {kKeys, kMprotect}) {
    add(mode, "mov", "undo_log", "userfaultfd_copy", Extra::kHardened, filtered);
    for (const char* act : {"process_vm_writev", "ptrace_poke", "madvise_remove"})
      add(mode, act, "undo_log", "main_thread", Extra::kHardened, filtered);
    const char* const locked = "Landlock forbids opening it for writing: EACCES";
    for (const char* act : {"proc_self_mem", "pwrite_to_file", "sendfile_to_file", "splice_to_file", "punch_hole",
                            "ftruncate", "second_mapping"})
      add(mode, act, "undo_log", "main_thread", Extra::kHardened, locked);
  }
}

void AddLeaks(Maker& make) {
  make.Family("Windows left open, rights edited");
  for (const Context& context : Leaks()) {
    const std::string_view name = context.name;
    make.Add(kKeys, FindAct("mov"), "undo_log", context,
             Found("the next operation in that thread sees the rights at entry, and ends the process"));
    if (name == "after_longjmp_out_of_operation") {
      for (const Isolation mode : {kMprotect, kHidden, kNone})
        make.Add(
            mode, FindAct("mov"), "undo_log", context,
            Found("the client's next operation in that thread sees that one was left half done, and ends the process"));
      continue;
    }
    // What edits rights means nothing to page permissions.
    const bool window = name.find("window") != std::string_view::npos;
    if (!window) continue;
    // Where nothing is open any more, or only pages that the target is not among.
    const bool shut = name.find("thread_born") != std::string_view::npos || name == "operation_in_handler_in_window";
    if (shut) {
      make.Add(kMprotect, FindAct("mov"), "undo_log", context, Stopped(kByPages));
    } else {
      make.Add(kMprotect, FindAct("mov"), "undo_log", context,
               Found("the client's next operation that writes sees that a window was left open, and ends the process"));
    }
  }
}

// What runs in each test of the project, also in the emulated machine: each context and each leak once, and some of
// everything else.
bool IsSample(const Row& row) {
  if (row.mode != kKeys) return true;
  const auto among = [](const std::string& name, std::initializer_list<const char*> names) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  if (row.family == "Stores of every kind")
    return among(row.route, {"mov", "xchg", "lock_cmpxchg16b", "movntdq", "push", "rep_movsb", "xsave"});
  if (row.family == "Whatever a store may hit")
    return row.route == "mov" && among(row.target, {"superblock", "index", "unsealed_of_another", "sealed_object",
                                                    "sealed_object_view", "guard_below"});
  if (row.family == "Changes to the mappings")
    return among(row.context, {"mmap_over_it", "mremap_move", "pkey_mprotect_to_key_0", "mprotect_exec_and_back",
                               "remap_file_pages"});
  if (row.family == "With seals and hardening")
    return among(row.context, {"pkey_mprotect_to_key_0_sealed", "pkey_mprotect_to_key_0_hardened"});
  if (row.route == "mov") return row.context != "exec";
  return among(row.route, {"read", "getrandom", "futex_wake_op", "vdso_clock_gettime", "io_uring_inline", "robust_list",
                           "signal_frame", "ptrace_poke"}) &&
         among(row.target, {"undo_log", "free_heap"});
}

std::string NoteOnEmulation(const Row& row) {
  const std::string_view route = row.route;
  if (row.mode != kKeys) return "";
  if (route.starts_with("avx512")) return "skipped: its processor has no AVX-512";
  if (route.starts_with("movdir") || route == "xsavec") return "skipped: its processor lacks the instruction";
  return "";
}

template <typename Thing>
const Thing* Find(std::initializer_list<std::span<const Thing>> lists, std::string_view name) {
  for (const auto list : lists) {
    for (const Thing& thing : list) {
      if (thing.name == name) return &thing;
    }
  }
  abort();
}

}  // namespace

const Act& FindAct(const char* name) {
  return *Find<Act>({Stores(), WideStores(), Syscalls(), KernelWrites(), AsyncReads(), FileWrites()}, name);
}
const Target& FindTarget(const char* name) { return *Find<Target>({Targets()}, name); }
const Context& FindContext(const char* name) {
  return *Find<Context>({Contexts(), ProcessContexts(), Leaks(), MappingChanges()}, name);
}

const std::vector<Row>& Matrix() {
  static const std::vector<Row> rows = [] {
    std::vector<Row> all;
    Maker make(all);
    AddStores(make);
    AddTargets(make);
    AddContexts(make);
    AddSyscalls(make);
    AddKernelWrites(make);
    AddMappings(make);
    AddLeaks(make);
    AddExtras(make);
    for (Row& row : all) {
      constexpr const char* kSuffixes[] = {"", "_sealed", "_hardened"};
      row.emulated = NoteOnEmulation(row);
      row.context += kSuffixes[static_cast<int>(row.extra)];
      row.sample = IsSample(row);
    }
    return all;
  }();
  return rows;
}

const char* Name(Expectation expectation) {
  constexpr const char* kNames[] = {"stopped", "detected", "out of scope"};
  return kNames[static_cast<int>(expectation)];
}
const char* Name(Verdict verdict) {
  constexpr const char* kNames[] = {"stopped", "detected", "landed", "skipped"};
  return kNames[static_cast<int>(verdict)];
}
const char* Name(Weakness weakness) {
  constexpr const char* kNames[] = {"none", "open-window", "no-protection", "silent-act"};
  return kNames[static_cast<int>(weakness)];
}

}  // namespace lightning::routes
