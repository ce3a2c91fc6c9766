// The C API: codes, options, clients, and what concerns the whole segment. Objects are in c_api_objects.cc.
#include "store/client/c_api.h"

#include <cstdio>
#include <memory>

namespace lightning::c_api {
namespace {

template <typename C, typename Cpp>
constexpr bool Same(C c, Cpp cpp) {
  return static_cast<int64_t>(c) == static_cast<int64_t>(cpp);
}

static_assert(Same(LIGHTNING_OK, Code::kOk));
static_assert(Same(LIGHTNING_NOT_FOUND, Code::kNotFound));
static_assert(Same(LIGHTNING_ALREADY_EXISTS, Code::kAlreadyExists));
static_assert(Same(LIGHTNING_BEING_CREATED, Code::kBeingCreated));
static_assert(Same(LIGHTNING_VERSION_MISMATCH, Code::kVersionMismatch));
static_assert(Same(LIGHTNING_SEGMENT_FULL, Code::kSegmentFull));
static_assert(Same(LIGHTNING_TOO_MANY_OBJECTS, Code::kTooManyObjects));
static_assert(Same(LIGHTNING_TOO_MANY_CLIENTS, Code::kTooManyClients));
static_assert(Same(LIGHTNING_TOO_MANY_PINS, Code::kTooManyPins));
static_assert(Same(LIGHTNING_INVALID_KEY, Code::kInvalidKey));
static_assert(Same(LIGHTNING_VALUE_TOO_LARGE, Code::kValueTooLarge));
static_assert(Same(LIGHTNING_METADATA_TOO_LARGE, Code::kMetadataTooLarge));
static_assert(Same(LIGHTNING_INVALID_ARGUMENT, Code::kInvalidArgument));
static_assert(Same(LIGHTNING_TIMEOUT, Code::kTimeout));
static_assert(Same(LIGHTNING_CLOSED, Code::kClosed));
static_assert(Same(LIGHTNING_FORKED, Code::kForked));
static_assert(Same(LIGHTNING_BAD_FORMAT, Code::kBadFormat));
static_assert(Same(LIGHTNING_BAD_VERSION, Code::kBadVersion));
static_assert(Same(LIGHTNING_TRUNCATED, Code::kTruncated));
static_assert(Same(LIGHTNING_CORRUPT, Code::kCorrupt));
static_assert(Same(LIGHTNING_NO_PERMISSION, Code::kNoPermission));
static_assert(Same(LIGHTNING_READ_ONLY, Code::kReadOnly));
static_assert(Same(LIGHTNING_NO_SPACE, Code::kNoSpace));
static_assert(Same(LIGHTNING_UNSUPPORTED, Code::kUnsupported));
static_assert(Same(LIGHTNING_FELL_BEHIND, Code::kFellBehind));
static_assert(Same(LIGHTNING_NO_SEGMENT, Code::kNoSegment));
static_assert(Same(LIGHTNING_SYSTEM, Code::kSystem));
static_assert(Same(LIGHTNING_ISOLATION_BROKEN, Code::kIsolationBroken));

static_assert(Same(LIGHTNING_ISOLATION_AUTO, lightning::Isolation::kAuto));
static_assert(Same(LIGHTNING_ISOLATION_KEYS, lightning::Isolation::kKeys));
static_assert(Same(LIGHTNING_ISOLATION_MPROTECT, lightning::Isolation::kMprotect));
static_assert(Same(LIGHTNING_ISOLATION_HIDDEN, lightning::Isolation::kHidden));
static_assert(Same(LIGHTNING_ISOLATION_NONE, lightning::Isolation::kNone));
static_assert(Same(LIGHTNING_EVICTION_NONE, lightning::Eviction::kNone));
static_assert(Same(LIGHTNING_EVICTION_LRU, lightning::Eviction::kLru));
static_assert(Same(LIGHTNING_OPEN_OR_CREATE, lightning::OpenMode::kOpenOrCreate));
static_assert(Same(LIGHTNING_OPEN, lightning::OpenMode::kOpen));
static_assert(Same(LIGHTNING_CREATE, lightning::OpenMode::kCreate));
static_assert(Same(LIGHTNING_EVENT_SEALED, lightning::EventKind::kSealed));
static_assert(Same(LIGHTNING_EVENT_DELETED, lightning::EventKind::kDeleted));
static_assert(Same(LIGHTNING_EVENT_EVICTED, lightning::EventKind::kEvicted));

thread_local char last_error[512] = "";

bool Within(int32_t number, int32_t last) { return number >= 0 && number <= last; }

Status ToOptions(const lightning_options* from, lightning::Options* to) {
  if (from == nullptr) return {};
  if (from->struct_size != sizeof(lightning_options)) {
    return Status(Code::kInvalidArgument, "fill the options by lightning_options_init first");
  }
  if (!Within(from->mode, LIGHTNING_CREATE) || !Within(from->eviction, LIGHTNING_EVICTION_LRU) ||
      !Within(from->isolation, LIGHTNING_ISOLATION_NONE)) {
    return Status(Code::kInvalidArgument, "mode, eviction or isolation is none of its enumeration");
  }
  to->mode = static_cast<lightning::OpenMode>(from->mode);
  to->eviction = static_cast<lightning::Eviction>(from->eviction);
  to->isolation = static_cast<lightning::Isolation>(from->isolation);
  to->size = from->size;
  to->max_objects = from->max_objects;
  to->max_clients = from->max_clients;
  to->max_pins = from->max_pins;
  to->event_slots = from->event_slots;
  to->hash_seed = from->hash_seed;
  to->prefault = from->prefault;
  to->huge_pages = from->huge_pages;
  to->seal = from->seal;
  to->audit = from->audit;
  to->lock_timeout = ToTimeout(from->lock_timeout_ns);
  return {};
}

void GiveReport(const lightning::CheckReport& report, lightning_violation_callback callback, void* context,
                lightning_check_result* result) {
  *result = {.ok = report.ok, .busy = report.busy, .violations = report.violations.size()};
  if (callback == nullptr) return;
  for (const std::string& violation : report.violations) callback(violation.c_str(), context);
}

}  // namespace

lightning_code Report(const Status& status) noexcept {
  if (status.ok()) return LIGHTNING_OK;
  try {
    std::snprintf(last_error, sizeof last_error, "%s", status.ToString().c_str());
  } catch (...) {  // no memory for the long text
    std::snprintf(last_error, sizeof last_error, "%s", CodeName(status.code()));
  }
  return static_cast<lightning_code>(status.code());
}

}  // namespace lightning::c_api

using namespace lightning::c_api;
using lightning::Code;
using lightning::Result;
using lightning::Status;

extern "C" {

const char* lightning_code_name(int code) { return CodeName(static_cast<Code>(code)); }
const char* lightning_code_message(int code) { return CodeMessage(static_cast<Code>(code)); }
const char* lightning_last_error(void) { return last_error; }

lightning_code lightning_options_init(lightning_options* options) {
  return Guard([&] {
    if (options == nullptr) return NullArgument();
    const lightning::Options defaults;
    *options = {.struct_size = sizeof(lightning_options),
                .mode = static_cast<int32_t>(defaults.mode),
                .eviction = static_cast<int32_t>(defaults.eviction),
                .size = defaults.size,
                .max_objects = defaults.max_objects,
                .max_clients = defaults.max_clients,
                .max_pins = defaults.max_pins,
                .event_slots = defaults.event_slots,
                .hash_seed = defaults.hash_seed,
                .isolation = static_cast<int32_t>(defaults.isolation),
                .prefault = defaults.prefault,
                .huge_pages = defaults.huge_pages,
                .seal = defaults.seal,
                .audit = defaults.audit,
                .lock_timeout_ns = static_cast<uint64_t>(defaults.lock_timeout.count())};
    return Status();
  });
}

lightning_code lightning_open(const char* name, const lightning_options* options, lightning_client** client) {
  return Guard([&]() -> Status {
    if (client == nullptr) return NullArgument();
    *client = nullptr;
    if (name == nullptr) return NullArgument();
    lightning::Options cpp_options;
    if (const Status status = ToOptions(options, &cpp_options); !status.ok()) return status;
    const Result<lightning::Store> store = lightning::Store::Open(name, cpp_options);
    if (!store.ok()) return store.status();
    Result<lightning::Client> connected = store->Connect();
    if (!connected.ok()) return connected.status();
    *client = new lightning_client{std::move(*connected)};
    return {};
  });
}

lightning_code lightning_close(lightning_client* client) {
  return Guard([&] {
    if (client == nullptr) return NullArgument();
    delete client;
    return Status();
  });
}

lightning_code lightning_remove(const char* name) {
  return Guard([&] { return name == nullptr ? NullArgument() : lightning::Store::Remove(name); });
}

lightning_isolation lightning_client_isolation(const lightning_client* client) {
  if (client == nullptr) return LIGHTNING_ISOLATION_AUTO;
  return static_cast<lightning_isolation>(client->client.isolation());
}

const char* lightning_client_path(const lightning_client* client) {
  return client == nullptr ? nullptr : client->client.path().c_str();
}

lightning_code lightning_evict(lightning_client* client, uint64_t bytes, uint64_t* freed) {
  return Guard([&] { return client == nullptr ? NullArgument() : Give(client->client.Evict(bytes), freed); });
}

lightning_code lightning_stats(lightning_client* client, lightning_stats_result* stats) {
  return Guard([&]() -> Status {
    if (client == nullptr || stats == nullptr) return NullArgument();
    const Result<lightning::Stats> result = client->client.GetStats();
    if (!result.ok()) return result.status();
    *stats = {.isolation = static_cast<lightning_isolation>(result->isolation),
              .eviction = static_cast<lightning_eviction>(result->eviction),
              .segment_size = result->segment_size,
              .bytes_total = result->bytes_total,
              .bytes_used = result->bytes_used,
              .bytes_retired = result->bytes_retired,
              .bytes_free = result->bytes_free,
              .largest_free = result->largest_free,
              .objects = result->objects,
              .objects_max = result->objects_max,
              .clients = result->clients,
              .clients_max = result->clients_max,
              .recoveries = result->recoveries,
              .evictions = result->evictions,
              .gets = result->gets,
              .puts = result->puts,
              .deletes = result->deletes};
    return {};
  });
}

lightning_code lightning_check(lightning_client* client, lightning_violation_callback callback, void* context,
                               lightning_check_result* result) {
  return Guard([&] {
    if (client == nullptr || result == nullptr) return NullArgument();
    GiveReport(client->client.Check(), callback, context, result);
    return Status();
  });
}

lightning_code lightning_check_file(const char* name, lightning_violation_callback callback, void* context,
                                    lightning_check_result* result) {
  return Guard([&] {
    if (name == nullptr || result == nullptr) return NullArgument();
    GiveReport(lightning::Store::Check(name), callback, context, result);
    return Status();
  });
}

lightning_code lightning_recover(lightning_client* client, lightning_recovery_result* result) {
  return Guard([&]() -> Status {
    if (client == nullptr) return NullArgument();
    const Result<lightning::RecoveryReport> report = client->client.Recover();
    if (!report.ok()) return report.status();
    if (result != nullptr) {
      *result = {.recovered = report->recovered, .alive = report->alive, .bytes_reclaimed = report->bytes_reclaimed};
    }
    return {};
  });
}

lightning_code lightning_subscribe(lightning_client* client, lightning_subscription** subscription) {
  return Guard([&]() -> Status {
    if (subscription == nullptr) return NullArgument();
    *subscription = nullptr;
    if (client == nullptr) return NullArgument();
    auto created = std::make_unique<lightning_subscription>();
    Result<lightning::Subscription> result = client->client.Subscribe();
    if (!result.ok()) return result.status();
    created->subscription = std::move(*result);
    *subscription = created.release();
    return {};
  });
}

lightning_code lightning_next_event(lightning_subscription* subscription, uint64_t timeout_ns, lightning_event* event) {
  return Guard([&]() -> Status {
    if (subscription == nullptr || event == nullptr) return NullArgument();
    Result<lightning::Event> next = subscription->subscription.Next(ToTimeout(timeout_ns));
    if (!next.ok()) return next.status();
    lightning::Event& kept = subscription->last;
    kept = std::move(*next);
    *event = {.sequence = kept.sequence,
              .kind = static_cast<lightning_event_kind>(kept.kind),
              .key = kept.key.data(),
              .key_size = kept.key.size(),
              .version = kept.version,
              .size = kept.size};
    return {};
  });
}

uint64_t lightning_events_lost(const lightning_subscription* subscription) {
  return subscription == nullptr ? 0 : subscription->subscription.lost();
}

lightning_code lightning_unsubscribe(lightning_subscription* subscription) {
  return Guard([&] {
    if (subscription == nullptr) return NullArgument();
    delete subscription;
    return Status();
  });
}

}  // extern "C"
