// Windows left open, rights edited: the stray store lands, and the next operation finds out.
#include <string_view>

#include "pkeys_tests/routes/maker.h"

namespace lightning::routes {
namespace {

constexpr const char* kElsewhere[] = {"superblock", "bucket_lock", "index", "block_table", "sealed_object"};
constexpr std::string_view kHalfDone = "after_longjmp_out_of_operation";

// In mode keys.
Outcome OfLeak(const Context& context, Extra extra) {
  const std::string_view name = context.name;
  const bool told = extra == Extra::kHandler;
  const char* const why = told ? "the next operation in that thread sees the rights at entry, tells the handler, and "
                                 "changes nothing: ISOLATION_BROKEN"
                               : "the next operation in that thread sees the rights at entry, and ends the process";
  // The processor refuses the store in a thread that may only read, and where the rights are a handler's.
  const bool in_handler = name == "operation_in_handler_in_window" || name == "after_longjmp_out_of_handler_in_window";
  const bool unharmed = name == "after_wrpkru_to_read_only" || in_handler;
  const char* const breach = in_handler ? "reentered" : "open-rights";
  const Outcome outcome = Found(breach, why);
  return unharmed ? outcome.Unharmed() : outcome;
}
Outcome OfHalfDone(Extra extra) {
  return Found("reentered", extra == Extra::kHandler
                                ? "the client's next operation in that thread sees that one was left half done, tells "
                                  "the handler, and changes nothing: ISOLATION_BROKEN"
                                : "the client's next operation in that thread sees that one was left half done, and "
                                  "ends the process");
}

// In mode mprotect, for those that leave a window: what edits rights means nothing to page permissions.
void AddOpenPages(Maker& make, const Context& context, const char* target, Extra extra = Extra::kNone) {
  const std::string_view name = context.name;
  if (name.find("window") == std::string_view::npos) return;
  // Where nothing is open any more, or only pages that the target is not among.
  const bool shut = name.find("thread_born") != std::string_view::npos || name == "operation_in_handler_in_window";
  if (shut && extra == Extra::kHandler) return;  // there is nothing to tell
  const char* const why = extra == Extra::kHandler
                              ? "the client's next operation sees that a window was left open, tells the "
                                "handler, and changes nothing: ISOLATION_BROKEN"
                              : "the client's next operation sees that a window was left open, and ends "
                                "the process";
  make.Add(kMprotect, FindAct("mov"), target, context, shut ? Stopped(kByPages) : Found("open-rights", why), extra);
}

}  // namespace

void AddLeakRows(Maker& make) {
  make.Family("Windows left open, rights edited");
  for (const Context& context : Leaks()) {
    if (context.name == kHalfDone) {
      for (const Isolation mode : {kKeys, kMprotect, kHidden, kNone})
        make.Add(mode, FindAct("mov"), "undo_log", context, OfHalfDone(Extra::kNone));
      continue;
    }
    make.Add(kKeys, FindAct("mov"), "undo_log", context, OfLeak(context, Extra::kNone));
    AddOpenPages(make, context, "undo_log");
    for (const char* target : kElsewhere) {
      make.Add(kKeys, FindAct("mov"), target, context, OfLeak(context, Extra::kNone));
      AddOpenPages(make, context, target);
    }
  }
  make.Family("Windows left open, and a handler for breaches");
  for (const Context& context : Leaks()) {
    if (context.name == kHalfDone) {
      for (const Isolation mode : {kKeys, kMprotect, kHidden, kNone})
        make.Add(mode, FindAct("mov"), "undo_log", context, OfHalfDone(Extra::kHandler), Extra::kHandler);
    } else {
      make.Add(kKeys, FindAct("mov"), "undo_log", context, OfLeak(context, Extra::kHandler), Extra::kHandler);
      AddOpenPages(make, context, "undo_log", Extra::kHandler);
    }
  }
}

}  // namespace lightning::routes
