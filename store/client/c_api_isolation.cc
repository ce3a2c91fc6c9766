// The C API: audit, breaches and hardening.
#include <atomic>

#include "store/client/c_api.h"

using namespace lightning::c_api;
using lightning::Breach;
using lightning::Status;

namespace {

constexpr bool Same(lightning_breach c, Breach cpp) { return static_cast<int>(c) == static_cast<int>(cpp); }
static_assert(Same(LIGHTNING_BREACH_ALIAS, Breach::kAlias));
static_assert(Same(LIGHTNING_BREACH_LOST_KEY, Breach::kLostKey));
static_assert(Same(LIGHTNING_BREACH_PERMISSIONS, Breach::kPermissions));
static_assert(Same(LIGHTNING_BREACH_MISSING, Breach::kMissing));
static_assert(Same(LIGHTNING_BREACH_GUARD, Breach::kGuard));
static_assert(Same(LIGHTNING_BREACH_INHERITED, Breach::kInherited));
static_assert(Same(LIGHTNING_BREACH_OPEN_RIGHTS, Breach::kOpenRights));
static_assert(Same(LIGHTNING_BREACH_REENTERED, Breach::kReentered));

// What the C caller wants called, since its function has another type than a BreachHandler. Never freed, since another
// thread may be about to call it; the list keeps them in reach, so that no leak checker takes them for lost.
struct Callback {
  lightning_breach_callback function;
  void* context;
  Callback* before = nullptr;
};
std::atomic<Callback*> callbacks = nullptr;

Callback* Keep(lightning_breach_callback function, void* context) {
  auto* const callback = new Callback{function, context, callbacks.load()};
  while (!callbacks.compare_exchange_weak(callback->before, callback)) {
  }
  return callback;
}

void Forward(Breach breach, const char* message, void* context) {
  const auto* callback = static_cast<const Callback*>(context);
  callback->function(static_cast<lightning_breach>(breach), message, callback->context);
}

}  // namespace

extern "C" {

const char* lightning_breach_name(int breach) { return lightning::BreachName(static_cast<Breach>(breach)); }

lightning_code lightning_audit(lightning_breach_callback callback, void* context, lightning_audit_result* result) {
  return Guard([&] {
    if (result == nullptr) return NullArgument();
    const lightning::AuditReport report = lightning::Audit();
    *result = {.clients = report.clients, .findings = report.findings.size()};
    if (callback == nullptr) return Status();
    for (const lightning::Finding& finding : report.findings)
      callback(static_cast<lightning_breach>(finding.breach), finding.message.c_str(), context);
    return Status();
  });
}

lightning_code lightning_on_breach(lightning_breach_callback callback, void* context) {
  return Guard([&] {
    if (callback == nullptr) {
      lightning::SetBreachHandler({});
    } else {
      lightning::SetBreachHandler({Forward, Keep(callback, context)});
    }
    return Status();
  });
}

lightning_code lightning_harden(bool system_calls, bool files) {
  return Guard([&] { return lightning::Harden({.system_calls = system_calls, .files = files}); });
}

}  // extern "C"
