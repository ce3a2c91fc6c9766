#include "pkeys_tests/routes/matrix.h"

#include <sys/utsname.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "pkeys_tests/routes/maker.h"

namespace lightning::routes {
namespace {

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
  if (row.extra == Extra::kHandler)
    return among(row.context, {"after_longjmp_out_of_window_with_handler", "thread_born_in_window_with_handler"});
  if (row.detector == Detector::kAttach) return row.context == "mmap_over_it_then_attach";
  if (row.route == "mov") return row.target == "undo_log" && !among(row.context, {"exec", "exec_in_window"});
  return among(row.route, {"read", "getrandom", "futex_wake_op", "vdso_clock_gettime", "io_uring_inline", "robust_list",
                           "signal_frame", "ptrace_poke"}) &&
         among(row.target, {"undo_log", "free_heap"});
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

bool KernelIsBefore(int major, int minor) {
  utsname names;
  int found[2] = {};
  if (uname(&names) != 0 || sscanf(names.release, "%d.%d", &found[0], &found[1]) != 2) return false;
  return found[0] < major || (found[0] == major && found[1] < minor);
}

const Act& FindAct(const char* name) {
  return *Find<Act>({Stores(), WideStores(), Syscalls(), KernelWrites(), AsyncReads(), FileWrites(), OwnWrites()},
                    name);
}
const Target& FindTarget(const char* name) { return *Find<Target>({Targets()}, name); }
const Context& FindContext(const char* name) {
  return *Find<Context>({Contexts(), ProcessContexts(), Leaks(), MappingChanges()}, name);
}

const char* Immune(const Row& row, Weakness weakness) {
  if (weakness != Weakness::kNoProtection) return nullptr;
  const std::string_view context = row.setting->name;
  if (context.starts_with("exec")) return "a new program has no mapping, whatever its parent had";
  if (row.error == 0 && (context == "munmap" || context == "guard_unmapped"))
    return "nothing is mapped there, so there is nothing to open";
  if (row.mode == kMprotect && row.route.ends_with("_of_window"))
    return "the act opens a window of its own, whose end protects the pages again";
  return nullptr;
}

const std::vector<Row>& Matrix() {
  static const std::vector<Row> rows = [] {
    std::vector<Row> all;
    Maker make(all);
    AddStoreRows(make);
    AddKernelRows(make);
    AddMappingRows(make);
    AddLeakRows(make);
    AddHardenedRows(make);
    for (Row& row : all) row.sample = IsSample(row);
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
