// Plain stores: which instruction, at what, and by whom.
#include <string_view>

#include "pkeys_tests/routes/act.h"
#include "pkeys_tests/routes/maker.h"

namespace lightning::routes {
namespace {

void AddStores(Maker& make) {
  make.Family("Stores of every kind");
  for (const Isolation mode : {kKeys, kMprotect}) {
    for (const auto acts : {Stores(), WideStores()}) {
      for (const Act& act : acts) {
        const bool border = std::string_view(act.name) == "rep_stosb_across_border";
        make.Add(mode, act, border ? "superblock" : "undo_log", FindContext("main_thread"), Stopped(StopOf(mode)));
      }
    }
  }
}

constexpr const char* kGuarded[] = {"superblock",  "central_state",       "central_lock",   "slot_identity",
                                    "slot_state",  "slot_lock",           "undo_log_count", "index",
                                    "bucket_lock", "object_table",        "block_table",    "event_ring",
                                    "free_heap",   "unsealed_of_another", "sealed_object",  "last_page"};
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
      make.Add(kHidden, act, target, "main_thread", Lands(kHiddenOnly));
      make.Add(kNone, act, target, "main_thread", Lands(kUnprotected));
    }
  }
}

constexpr char kOwnThread[] = "a window gives its rights to its own thread, and handlers begin without: SEGV_PKUERR";
constexpr char kOpenPages[] = "the few pages that a window has opened are open to the whole process";

void AddContexts(Maker& make) {
  make.Family("Threads, signal handlers, coroutines");
  for (const char* act : {"mov", "rep_stosb"}) {
    for (const Context& context : Contexts()) {
      const std::string_view name = context.name;
      if (name == "main_thread") continue;
      const bool on_it = name.ends_with("_on_it");
      make.Add(kKeys, FindAct(act), "undo_log", context, Stopped(on_it ? kOwnThread : kByKey));
      if (name == "after_handler_that_opened") continue;
      make.Add(kMprotect, FindAct(act), "undo_log", context, on_it ? Lands(kOpenPages) : Stopped(kByPages));
    }
  }
  for (const char* context : {"thread_during_window_on_it", "handler_in_window_on_it"}) {
    for (const char* target : {"superblock", "bucket_lock", "index", "block_table", "sealed_object"}) {
      make.Add(kKeys, "mov", target, context, Stopped(kOwnThread));
      make.Add(kMprotect, "mov", target, context, Lands(kOpenPages));
    }
  }
  make.Family("Children: fork, vfork, exec");
  for (const Isolation mode : {kKeys, kMprotect, kHidden}) {
    for (const char* context : {"fork", "fork_in_window", "fork_of_fork"})
      make.Add(mode, "mov", "undo_log", context,
               Stopped("a child gets no control mapping (MADV_DONTFORK): SEGV_MAPERR"));
    for (const char* context : {"exec", "exec_in_window"})
      make.Add(mode, "mov", "undo_log", context, Stopped("a new program has no mapping: SEGV_MAPERR"));
    if (mode == kHidden) continue;
    make.Add(mode, "mov", "undo_log", "vfork", Stopped(StopOf(mode)));
    make.Add(mode, "rep_stosb", "undo_log", "vfork", Stopped(StopOf(mode)));
    make.Add(mode, "mov", "undo_log", "vfork_in_window",
             Lands("the child is its parent for a while, with the parent's window; no window of the store makes one"));
  }
  make.Add(kNone, "mov", "undo_log", "fork", Lands(kUnprotected));
}

}  // namespace

void AddStoreRows(Maker& make) {
  AddStores(make);
  AddTargets(make);
  AddContexts(make);
}

}  // namespace lightning::routes
