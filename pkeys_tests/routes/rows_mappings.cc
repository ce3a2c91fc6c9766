// Changes to the mappings, and what seals and hardening make of them and of other ways round the gate.
#include <cerrno>
#include <string_view>

#include "pkeys_tests/routes/maker.h"

namespace lightning::routes {
namespace {

constexpr char kGone[] = "nothing is mapped there: SEGV_MAPERR";
constexpr char kViewWritable[] = "an audit finds the view writable";
constexpr char kInherited[] = "a forked child would get the control mapping: an audit finds it";
constexpr char kAliased[] = "an audit finds a writable mapping that the store has not made";

void AddChanges(Maker& make) {
  struct Change {
    const char* context;
    Outcome keys, mprotect;
    const char* target = "undo_log";
  };
  const Outcome kept = Stopped("the key stays with the mapping: SEGV_PKUERR"), pages = Stopped(kByPages);
  const Outcome gone = Stopped(kGone);
  const Outcome no_key = Audited("lost-key", "an audit finds a control mapping without its key");
  const Outcome anew = Audited("lost-key, inherited", "an audit finds a control mapping without its key");
  const Outcome open = Audited("permissions", "an audit finds pages that are writable and should not be");
  const Outcome open_anew =
      Audited("permissions, inherited", "an audit finds pages that are writable and should not be");
  // The other client's gate sees an alias of the same file in it.
  const Outcome view = Audited("permissions, alias", kViewWritable);
  const Outcome elsewhere = Audited("missing",
                                    "the segment is unharmed, but the store's own writes go astray from then on: an "
                                    "audit finds the mapping gone")
                                .Unharmed();
  const Outcome inherited = Audited("inherited", kInherited).Unharmed();
  const Outcome filled = Lands("pages that were removed from the file are whoever fills them");
  const Change changes[] = {
      {"mmap_over_it", anew, open_anew},
      {"mmap_anonymous_over_it", elsewhere, elsewhere},
      {"mmap_private_over_it", elsewhere, elsewhere},
      {"shm_remap_over_it", elsewhere, elsewhere},
      {"mmap_over_view", view, view, "undo_log_view"},
      {"mprotect_of_view", view, view, "undo_log_view"},
      {"munmap", gone, gone},
      {"mremap_move", kept, pages},
      {"mremap_shrink_and_grow", kept, pages, "last_page"},
      {"mremap_dontunmap", kept, pages},
      {"mremap_dontunmap_new_place", kept, pages},
      {"mremap_duplicate", kept, pages},
      {"mremap_duplicate_made_writable", kept, Audited("alias", kAliased)},
      {"mprotect_writable", kept, open},
      {"mprotect_exec_and_back",
       Audited("lost-key", "execute-only pages take a key of the kernel's and lose ours: an audit finds it"), open},
      {"mprotect_none_and_back", kept, open},
      {"pkey_mprotect_to_key_0", no_key, open},
      {"remap_file_pages",
       Audited("lost-key, inherited", "the kernel maps the pages anew, without the key: an audit finds it"), pages},
      {"madvise_dontneed", kept, pages},
      {"madvise_free", Stopped("the kernel frees no shared memory so (EINVAL), and the key stays: SEGV_PKUERR"),
       Stopped("the kernel frees no shared memory so (EINVAL), and the pages stay read-only: SEGV_ACCERR")},
      {"madvise_pageout", kept, pages},
      {"madvise_dofork", inherited, inherited},
      {"guard_unmapped", gone, gone, "guard_below"},
      {"userfaultfd_copy", filled, filled},
  };
  for (const Change& change : changes) {
    make.Add(kKeys, "mov", change.target, change.context, change.keys);
    if (std::string_view(change.context).starts_with("pkey_")) continue;
    make.Add(kMprotect, "mov", change.target, change.context, change.mprotect);
  }
}

void AddChangesWithoutPermissions(Maker& make) {
  for (const char* context : {"mmap_over_view", "mprotect_of_view"})
    make.Add(kHidden, "mov", "undo_log_view", context, Audited("permissions, alias", kViewWritable));
  make.Add(kHidden, "mov", "undo_log", "madvise_dofork", Audited("inherited", kInherited));
  make.Add(kNone, "mov", "undo_log", "madvise_dofork", Lands(kUnprotected));
  for (const Isolation mode : {kHidden, kNone}) {
    make.Add(mode, "mov", "undo_log", "munmap", Stopped(kGone));
    make.Add(mode, "mov", "undo_log", "mremap_move", Lands(LandingOf(mode)));
    make.Add(mode, "mov", "undo_log", "mremap_duplicate",
             mode == kHidden ? Audited("alias", kAliased) : Lands(kUnprotected));
  }
}

// What the audit of the next client that attaches finds; what an audit by name finds is above.
void AddAttaching(Maker& make) {
  make.Family("What the next client to attach finds");
  for (const Extra extra : {Extra::kNone, Extra::kHandler}) {
    const char* const told = extra == Extra::kHandler
                                 ? "the audit at attach finds it, tells the handler, and nobody attaches"
                                 : "the audit at attach finds it, and ends the process";
    for (const Isolation mode : {kKeys, kMprotect, kHidden})
      make.Add(mode, "second_mapping", "undo_log", "main_thread", FoundAtAttach("alias", told), extra);
    make.Add(kKeys, "mov", "undo_log", "mmap_over_it", FoundAtAttach("lost-key, inherited", told), extra);
    make.Add(kKeys, "mov", "undo_log", "mprotect_exec_and_back", FoundAtAttach("lost-key", told), extra);
    make.Add(kKeys, "mov", "undo_log", "madvise_dofork", FoundAtAttach("inherited", told).Unharmed(), extra);
  }
}

// What mseal and the filters stop.
void AddRefused(Maker& make) {
  make.Family("With seals and hardening");
  const auto sealed = [&](Isolation mode, const char* target, const char* context) {
    make.Add(mode, "mov", target, context, Refused("mseal forbids the change: EPERM", EPERM), Extra::kSealed);
  };
  const auto filtered = [&](Isolation mode, const char* act, const char* target, const char* context) {
    make.Add(mode, act, target, context, Refused("the seccomp filter forbids the call: EPERM", EPERM),
             Extra::kHardened);
  };
  for (const char* context : {"mmap_over_it", "munmap", "mremap_move", "mprotect_exec_and_back",
                              "pkey_mprotect_to_key_0", "remap_file_pages"})
    sealed(kKeys, "undo_log", context);
  for (const char* context :
       {"mmap_over_it", "munmap", "mremap_move", "mremap_duplicate", "mprotect_exec_and_back", "pkey_mprotect_to_key_0",
        "remap_file_pages", "madvise_dofork", "after_key_allocated_again", "userfaultfd_copy"})
    filtered(kKeys, "mov", "undo_log", context);
  for (const char* context :
       {"mmap_over_it", "munmap", "mremap_move", "mremap_duplicate_made_writable", "mprotect_writable",
        "mprotect_exec_and_back", "mprotect_none_and_back", "madvise_dofork", "userfaultfd_copy"})
    filtered(kMprotect, "mov", "undo_log", context);
  for (const Isolation mode : {kKeys, kMprotect, kHidden}) {
    for (const char* context : {"mmap_over_view", "mprotect_of_view"}) {
      sealed(mode, "undo_log_view", context);
      filtered(mode, "mov", "undo_log_view", context);
    }
  }
  for (const Isolation mode : {kKeys, kMprotect, kHidden}) {
    for (const char* act : {"process_vm_writev", "ptrace_poke", "madvise_remove"})
      filtered(mode, act, "undo_log", "main_thread");
    for (const char* act : {"proc_self_mem", "pwrite_to_file", "sendfile_to_file", "splice_to_file", "punch_hole",
                            "ftruncate", "second_mapping"})
      make.Add(mode, act, "undo_log", "main_thread", Refused("Landlock forbids opening it for writing: EACCES", EACCES),
               Extra::kHardened);
  }
}

// What they do not stop.
void AddUnrefused(Maker& make) {
  const char* const by_mseal = "mseal keeps mappings as they are, not what is in them";
  for (const Isolation mode : {kKeys, kMprotect}) {
    for (const char* act : {"madvise_remove", "pwrite_to_file"})
      make.Add(mode, act, "undo_log", "main_thread", Lands(by_mseal), Extra::kSealed);
    make.Add(mode, "process_vm_writev", "undo_log", "main_thread",
             mode == kKeys ? Lands(by_mseal) : Stopped("a shared mapping that is read-only is so for debuggers, too"),
             Extra::kSealed);
    make.Add(mode, "second_mapping", "undo_log", "main_thread",
             Audited("alias", "mseal forbids no new mapping; an audit finds it"), Extra::kSealed);
    make.Add(mode, "io_uring_madvise_remove", "undo_log", "main_thread",
             Lands("seccomp does not see what an io_uring is asked for"), Extra::kHardened);
    make.Add(mode, "process_madvise_remove", "undo_log", "main_thread",
             Lands("since Linux 6.13 a process may give itself any advice so; the filter does not look at the call"),
             Extra::kHardened);
    make.Add(mode, "mov", "undo_log", "shm_remap_over_it",
             Audited("missing", "the filter does not look at shmat; an audit finds the mapping gone").Unharmed(),
             Extra::kHardened);
  }
  make.Add(kKeys, "mov", "undo_log", "after_key_allocated_again",
           Found("open-rights", "mseal keeps no key; the next operation sees rights at entry that it has not left"),
           Extra::kSealed);
}

}  // namespace

void AddMappingRows(Maker& make) {
  make.Family("Changes to the mappings");
  AddChanges(make);
  AddChangesWithoutPermissions(make);
  AddAttaching(make);
}

void AddHardenedRows(Maker& make) {
  AddRefused(make);
  AddUnrefused(make);
}

}  // namespace lightning::routes
