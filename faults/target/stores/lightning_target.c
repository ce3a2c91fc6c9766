/* This project's own store as a target, through its C API: the control, in which nothing may be found. */
#include "faults/target/lightning_target.h"

#include <stdio.h>
#include <string.h>

#include "lightning/c.h"

enum { kSegmentSize = 4 << 20 };

static const char* Answer(lightning_code code) { return code == LIGHTNING_OK ? NULL : lightning_last_error(); }

static const char* Open(const char* directory, lightning_open_mode mode, lightning_client** client) {
  char path[4096];
  snprintf(path, sizeof path, "%s/segment", directory);
  lightning_options options;
  lightning_options_init(&options);
  options.mode = (int32_t)mode;
  options.size = kSegmentSize;
  options.max_objects = 64;
  options.max_clients = 8;
  options.max_pins = 16;
  options.event_slots = 16;
  options.hash_seed = 1; /* instruction counts must not depend on chance */
  /* What is tested is recovery. Where the gate is a system call, each would be a look at the whole segment. */
  options.isolation = LIGHTNING_ISOLATION_NONE;
  return Answer(lightning_open(path, &options, client));
}

static const char* Create(const char* directory) {
  lightning_client* client = NULL;
  const char* error = Open(directory, LIGHTNING_CREATE, &client);
  return error != NULL ? error : Answer(lightning_close(client));
}

static const char* Attach(const char* directory, void** client) {
  return Open(directory, LIGHTNING_OPEN, (lightning_client**)client);
}

static const char* Detach(void* client) { return Answer(lightning_close(client)); }

static const char* Put(void* client, const char* key, const char* value) {
  return Answer(lightning_put(client, key, strlen(key), value, strlen(value), NULL, 0, 0, NULL));
}

static const char* Remove(void* client, const char* key) {
  return Answer(lightning_delete(client, key, strlen(key), 0));
}

static const char* Recover(void* client) { return Answer(lightning_recover(client, NULL)); }

typedef struct {
  lightning_client* client;
  lightning_target_item item;
  void* context;
  const char* error;
} Listing;

static int ListOne(const lightning_object_info* info, void* context) {
  Listing* listing = context;
  char key[256], value[256];
  lightning_object* object = NULL;
  listing->error = Answer(lightning_get(listing->client, info->key, info->key_size, 0, &object));
  if (listing->error != NULL) return 1;
  snprintf(key, sizeof key, "%.*s", (int)info->key_size, (const char*)info->key);
  snprintf(value, sizeof value, "%.*s", (int)lightning_object_size(object), (const char*)lightning_object_data(object));
  listing->item(listing->context, key, value);
  lightning_release(object);
  return 0;
}

static const char* List(void* client, lightning_target_item item, void* context) {
  Listing listing = {client, item, context, NULL};
  const char* error = Answer(lightning_list(client, "", 0, ListOne, &listing));
  return error != NULL ? error : listing.error;
}

typedef struct {
  lightning_target_text violation;
  void* context;
} Telling;

static void TellOne(const char* violation, void* context) {
  const Telling* telling = context;
  telling->violation(telling->context, violation);
}

static const char* Check(void* client, lightning_target_text violation, void* context) {
  Telling telling = {violation, context};
  lightning_check_result result;
  const char* error = Answer(lightning_check(client, TellOne, &telling, &result));
  if (error != NULL) return error;
  return result.busy ? "the segment changed all the while" : NULL;
}

const lightning_target* lightning_target_get(void) {
  static const lightning_target target = {
      .version = LIGHTNING_TARGET_VERSION,
      .struct_size = sizeof(lightning_target),
      .name = "Lightning",
      .create = Create,
      .attach = Attach,
      .detach = Detach,
      .put = Put,
      .remove = Remove,
      .list = List,
      .recover = Recover,
      .check = Check,
  };
  return &target;
}
