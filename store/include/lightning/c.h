/* The C API of the object store, over the C++ API in client.h; C11.
 *
 *   lightning_client* client;
 *   if (lightning_open("demo", NULL, &client) != LIGHTNING_OK) { puts(lightning_last_error()); ... }
 *   lightning_put(client, "answer", 6, "42", 2, NULL, 0, 0, NULL);
 *   lightning_object* object;
 *   if (lightning_get(client, "answer", 6, 0, &object) == LIGHTNING_OK) {
 *     fwrite(lightning_object_data(object), 1, lightning_object_size(object), stdout);
 *     lightning_release(object);
 *   }
 *   lightning_close(client);
 *
 * Results: every call that can fail returns a code. A NULL where something is needed gives
 * LIGHTNING_INVALID_ARGUMENT; accessors of an object, writer or subscription give NULL or 0 for it. A call that fails
 * leaves what its out parameters point at as it was, except that a pointer to a new handle becomes NULL. An out
 * parameter called "optional" may be NULL.
 * Keys, values and metadata are bytes with a size; a value or metadata of size 0 may be NULL.
 * Timeouts are nanoseconds that a call may wait for a living peer; 0 means lightning_options.lock_timeout_ns, except in
 * lightning_get, where it means not to wait for an absent key; UINT64_MAX means for ever.
 * Threads, fork and signals: as client.h says.
 */
#ifndef LIGHTNING_C_H_
#define LIGHTNING_C_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define LIGHTNING_API __attribute__((visibility("default")))
#else
#define LIGHTNING_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* The numbers of lightning::Code (status.h says what each means). New ones are appended, none is ever renumbered. */
typedef enum lightning_code {
  LIGHTNING_OK = 0,
  LIGHTNING_NOT_FOUND = 1,
  LIGHTNING_ALREADY_EXISTS = 2,
  LIGHTNING_BEING_CREATED = 3,
  LIGHTNING_VERSION_MISMATCH = 4,
  LIGHTNING_SEGMENT_FULL = 5,
  LIGHTNING_TOO_MANY_OBJECTS = 6,
  LIGHTNING_TOO_MANY_CLIENTS = 7,
  LIGHTNING_TOO_MANY_PINS = 8,
  LIGHTNING_INVALID_KEY = 9,
  LIGHTNING_VALUE_TOO_LARGE = 10,
  LIGHTNING_METADATA_TOO_LARGE = 11,
  LIGHTNING_INVALID_ARGUMENT = 12,
  LIGHTNING_TIMEOUT = 13,
  LIGHTNING_CLOSED = 14,
  LIGHTNING_FORKED = 15,
  LIGHTNING_BAD_FORMAT = 16,
  LIGHTNING_BAD_VERSION = 17,
  LIGHTNING_TRUNCATED = 18,
  LIGHTNING_CORRUPT = 19,
  LIGHTNING_NO_PERMISSION = 20,
  LIGHTNING_READ_ONLY = 21,
  LIGHTNING_NO_SPACE = 22,
  LIGHTNING_UNSUPPORTED = 23,
  LIGHTNING_FELL_BEHIND = 24,
  LIGHTNING_NO_SEGMENT = 25,
  LIGHTNING_SYSTEM = 26,
  LIGHTNING_ISOLATION_BROKEN = 27
} lightning_code;

/* A stable short name such as "NOT_FOUND", and a sentence that says what to do. Never NULL. */
LIGHTNING_API const char* lightning_code_name(int code);
LIGHTNING_API const char* lightning_code_message(int code);
/* What went wrong in this thread's last call that failed, with details; "" when none did. Valid until the next one. */
LIGHTNING_API const char* lightning_last_error(void);

typedef enum lightning_isolation {
  LIGHTNING_ISOLATION_AUTO = 0,
  LIGHTNING_ISOLATION_KEYS = 1,
  LIGHTNING_ISOLATION_MPROTECT = 2,
  LIGHTNING_ISOLATION_HIDDEN = 3,
  LIGHTNING_ISOLATION_NONE = 4
} lightning_isolation;

typedef enum lightning_eviction { LIGHTNING_EVICTION_NONE = 0, LIGHTNING_EVICTION_LRU = 1 } lightning_eviction;

typedef enum lightning_open_mode {
  LIGHTNING_OPEN_OR_CREATE = 0,
  LIGHTNING_OPEN = 1,
  LIGHTNING_CREATE = 2
} lightning_open_mode;

/* As lightning::Options in options.h. Fill it by lightning_options_init, then change what should differ. */
typedef struct lightning_options {
  size_t struct_size; /* set by lightning_options_init; tells the library which fields there are */
  int32_t mode;       /* lightning_open_mode */
  int32_t eviction;   /* lightning_eviction */
  uint64_t size;      /* bytes of the whole segment */
  uint32_t max_objects;
  uint32_t max_clients;
  uint32_t max_pins;
  uint32_t event_slots;
  uint64_t hash_seed; /* 0: random */
  int32_t isolation;  /* lightning_isolation */
  bool prefault;
  bool huge_pages;
  bool seal;  /* mseal the mappings: as Options::seal says */
  bool audit; /* audit the mappings when attaching; true unless changed */
  uint64_t lock_timeout_ns;
} lightning_options;

LIGHTNING_API lightning_code lightning_options_init(lightning_options* options);

typedef struct lightning_client lightning_client;             /* an attached client */
typedef struct lightning_object lightning_object;             /* a pinned sealed object */
typedef struct lightning_writer lightning_writer;             /* an object that is not sealed yet */
typedef struct lightning_subscription lightning_subscription; /* a place in the stream of events */

/* Opens the segment `name` (a path if it contains a slash, else a file under /dev/shm) and attaches a client.
 * `options` may be NULL for the defaults: open, or create when absent. */
LIGHTNING_API lightning_code lightning_open(const char* name, const lightning_options* options,
                                            lightning_client** client);
/* Frees the client; it detaches once its last object and writer is gone too, and these stay usable until then.
 * Subscriptions must be freed first. */
LIGHTNING_API lightning_code lightning_close(lightning_client* client);
/* Unlinks the name; attached clients go on with the segment they have. */
LIGHTNING_API lightning_code lightning_remove(const char* name);
/* The mode in force, never AUTO (which only a NULL client gives). */
LIGHTNING_API lightning_isolation lightning_client_isolation(const lightning_client* client);
/* The path of the segment, valid as long as the client. */
LIGHTNING_API const char* lightning_client_path(const lightning_client* client);

/* Inserts or replaces. `version`: the object's new version, optional. */
LIGHTNING_API lightning_code lightning_put(lightning_client* client, const void* key, size_t key_size,
                                           const void* value, size_t value_size, const void* metadata,
                                           size_t metadata_size, uint64_t timeout_ns, uint64_t* version);
/* Replaces if the object still has the version `expected`. */
LIGHTNING_API lightning_code lightning_replace(lightning_client* client, const void* key, size_t key_size,
                                               const void* value, size_t value_size, const void* metadata,
                                               size_t metadata_size, uint64_t expected, uint64_t timeout_ns,
                                               uint64_t* version);

typedef struct lightning_batch_item {
  const void* key;
  size_t key_size;
  const void* value;
  size_t value_size;
  const void* metadata;
  size_t metadata_size;
} lightning_batch_item;

/* Puts up to 64 different keys: all of them or none. `versions`: room for `count` of them, optional. */
LIGHTNING_API lightning_code lightning_put_batch(lightning_client* client, const lightning_batch_item* items,
                                                 size_t count, uint64_t timeout_ns, uint64_t* versions);

/* Pins the object under the key; with a timeout, waits for it to be sealed. */
LIGHTNING_API lightning_code lightning_get(lightning_client* client, const void* key, size_t key_size,
                                           uint64_t timeout_ns, lightning_object** object);
/* The bytes stay readable and unchanged until lightning_release. */
LIGHTNING_API const void* lightning_object_data(const lightning_object* object);
LIGHTNING_API size_t lightning_object_size(const lightning_object* object);
LIGHTNING_API const void* lightning_object_metadata(const lightning_object* object);
LIGHTNING_API size_t lightning_object_metadata_size(const lightning_object* object);
LIGHTNING_API uint64_t lightning_object_version(const lightning_object* object);
/* Unpins and frees. */
LIGHTNING_API lightning_code lightning_release(lightning_object* object);

/* Reserves the key and gives memory for `size` bytes, which nobody can read before lightning_seal. */
LIGHTNING_API lightning_code lightning_create(lightning_client* client, const void* key, size_t key_size, uint64_t size,
                                              const void* metadata, size_t metadata_size, uint64_t timeout_ns,
                                              lightning_writer** writer);
LIGHTNING_API void* lightning_writer_data(lightning_writer* writer);
LIGHTNING_API size_t lightning_writer_size(const lightning_writer* writer);
/* Makes the object visible and frees the writer. When it fails the writer stays: seal it again, or abort it. */
LIGHTNING_API lightning_code lightning_seal(lightning_writer* writer, uint64_t* version);
/* Gives key and memory back, and frees the writer whatever it returns. */
LIGHTNING_API lightning_code lightning_abort(lightning_writer* writer);

LIGHTNING_API lightning_code lightning_delete(lightning_client* client, const void* key, size_t key_size,
                                              uint64_t timeout_ns);
LIGHTNING_API lightning_code lightning_contains(lightning_client* client, const void* key, size_t key_size,
                                                bool* found);

typedef struct lightning_object_info {
  const void* key; /* valid during the callback */
  size_t key_size;
  uint64_t version;
  uint64_t size;
  uint32_t metadata_size;
} lightning_object_info;

/* Anything but 0 ends the list early. The callback may call the library. */
typedef int (*lightning_list_callback)(const lightning_object_info* info, void* context);
/* Calls back for each sealed object whose key starts with the prefix, sorted by key. */
LIGHTNING_API lightning_code lightning_list(lightning_client* client, const void* prefix, size_t prefix_size,
                                            lightning_list_callback callback, void* context);
/* Evicts least recently used objects until `bytes` are freed or none is left. `freed` is optional. */
LIGHTNING_API lightning_code lightning_evict(lightning_client* client, uint64_t bytes, uint64_t* freed);

/* As lightning::Stats in options.h. */
typedef struct lightning_stats_result {
  lightning_isolation isolation;
  lightning_eviction eviction;
  uint64_t segment_size;
  uint64_t bytes_total;
  uint64_t bytes_used;
  uint64_t bytes_retired;
  uint64_t bytes_free;
  uint64_t largest_free;
  uint64_t objects;
  uint64_t objects_max;
  uint64_t clients;
  uint64_t clients_max;
  uint64_t recoveries;
  uint64_t evictions;
  uint64_t gets;
  uint64_t puts;
  uint64_t deletes;
} lightning_stats_result;

LIGHTNING_API lightning_code lightning_stats(lightning_client* client, lightning_stats_result* stats);

typedef struct lightning_check_result {
  bool ok;
  bool busy; /* clients changed the segment all the while: nothing can be said */
  size_t violations;
} lightning_check_result;

/* `violation` is one sentence, valid during the callback. */
typedef void (*lightning_violation_callback)(const char* violation, void* context);
/* Checks all invariants, read-only. LIGHTNING_OK says that the check was made; its verdict is in `result`.
 * `callback` (optional) is called for each violation. */
LIGHTNING_API lightning_code lightning_check(lightning_client* client, lightning_violation_callback callback,
                                             void* context, lightning_check_result* result);
/* The same for a file that may be anything at all, without attaching. */
LIGHTNING_API lightning_code lightning_check_file(const char* name, lightning_violation_callback callback,
                                                  void* context, lightning_check_result* result);

typedef struct lightning_recovery_result {
  uint32_t recovered; /* dead clients healed by this call */
  uint32_t alive;     /* clients attached and alive, the caller included */
  uint64_t bytes_reclaimed;
} lightning_recovery_result;

/* Heals whatever dead clients left. `result` is optional. */
LIGHTNING_API lightning_code lightning_recover(lightning_client* client, lightning_recovery_result* result);

/* As lightning::Breach in isolation.h, which says what each is. */
typedef enum lightning_breach {
  LIGHTNING_BREACH_ALIAS = 1,
  LIGHTNING_BREACH_LOST_KEY = 2,
  LIGHTNING_BREACH_PERMISSIONS = 3,
  LIGHTNING_BREACH_MISSING = 4,
  LIGHTNING_BREACH_GUARD = 5,
  LIGHTNING_BREACH_INHERITED = 6,
  LIGHTNING_BREACH_OPEN_RIGHTS = 7,
  LIGHTNING_BREACH_REENTERED = 8
} lightning_breach;
LIGHTNING_API const char* lightning_breach_name(int breach);

typedef struct lightning_audit_result {
  size_t clients;  /* of this process, whose mappings were looked at */
  size_t findings; /* 0: all is well */
} lightning_audit_result;

/* `message` is one line that says what to do, valid during the callback. */
typedef void (*lightning_breach_callback)(lightning_breach breach, const char* message, void* context);
/* Compares the mappings of this process with what its clients have made, and changes nothing. LIGHTNING_OK says that
 * the audit was made; its verdict is in `result`. `callback` (optional) is called for each finding. */
LIGHTNING_API lightning_code lightning_audit(lightning_breach_callback callback, void* context,
                                             lightning_audit_result* result);
/* What this process does when an operation or lightning_open finds isolation broken: calls back, and then returns
 * LIGHTNING_ISOLATION_BROKEN with nothing changed. NULL, as at the start: a message and abort(). */
LIGHTNING_API lightning_code lightning_on_breach(lightning_breach_callback callback, void* context);
/* Forbids this process, for good, what could take the isolation away: as lightning::Harden in isolation.h. */
LIGHTNING_API lightning_code lightning_harden(bool system_calls, bool files);

typedef enum lightning_event_kind {
  LIGHTNING_EVENT_SEALED = 1,
  LIGHTNING_EVENT_DELETED = 2,
  LIGHTNING_EVENT_EVICTED = 3
} lightning_event_kind;

typedef struct lightning_event {
  uint64_t sequence;
  lightning_event_kind kind;
  const void* key; /* valid until the next call with this subscription */
  size_t key_size;
  uint64_t version;
  uint64_t size;
} lightning_event;

/* Events from now on, in the order of the changes. */
LIGHTNING_API lightning_code lightning_subscribe(lightning_client* client, lightning_subscription** subscription);
/* LIGHTNING_TIMEOUT when none came; LIGHTNING_FELL_BEHIND once when events were overwritten before they were read. */
LIGHTNING_API lightning_code lightning_next_event(lightning_subscription* subscription, uint64_t timeout_ns,
                                                  lightning_event* event);
/* Events lost so far. */
LIGHTNING_API uint64_t lightning_events_lost(const lightning_subscription* subscription);
LIGHTNING_API lightning_code lightning_unsubscribe(lightning_subscription* subscription);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* LIGHTNING_C_H_ */
