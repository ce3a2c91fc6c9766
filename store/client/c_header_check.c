/* Compiled as C: the header is C11 without anything of C++. c_api_test.cc calls what stands here, so that a C program's
 * view of the structs and enumerations is compared with the library's. */
#include <string.h>

#include "lightning/c.h"

size_t lightning_c_sizes(size_t* sizes, size_t room);
int lightning_c_round_trip(const char* name);

/* Writes the sizes of the public structs as C sees them; returns how many there are. */
size_t lightning_c_sizes(size_t* sizes, size_t room) {
  const size_t all[] = {
      sizeof(lightning_options),      sizeof(lightning_batch_item),      sizeof(lightning_object_info),
      sizeof(lightning_stats_result), sizeof(lightning_check_result),    sizeof(lightning_event),
      sizeof(lightning_code),         sizeof(lightning_recovery_result), offsetof(lightning_options, lock_timeout_ns)};
  const size_t count = sizeof(all) / sizeof(all[0]);
  for (size_t i = 0; i < count && i < room; ++i) sizes[i] = all[i];
  return count;
}

/* Open, put, get, compare, delete, close, as a C program does it. Returns 0, or the number of the step that failed. */
int lightning_c_round_trip(const char* name) {
  lightning_options options;
  if (lightning_options_init(&options) != LIGHTNING_OK) return 1;
  options.mode = LIGHTNING_OPEN;
  lightning_client* client = NULL;
  if (lightning_open(name, &options, &client) != LIGHTNING_OK) return 2;
  int failed = 0;
  lightning_object* object = NULL;
  if (lightning_put(client, "from c", 6, "v\0w", 3, "meta", 4, 0, NULL) != LIGHTNING_OK) {
    failed = 3;
  } else if (lightning_get(client, "from c", 6, 0, &object) != LIGHTNING_OK) {
    failed = 4;
  } else if (lightning_object_size(object) != 3 || memcmp(lightning_object_data(object), "v\0w", 3) != 0) {
    failed = 5;
  } else if (lightning_object_metadata_size(object) != 4 || memcmp(lightning_object_metadata(object), "meta", 4) != 0) {
    failed = 6;
  } else if (lightning_delete(client, "from c", 6, 0) != LIGHTNING_OK) {
    failed = 7;
  }
  if (object != NULL && lightning_release(object) != LIGHTNING_OK && failed == 0) failed = 8;
  if (lightning_close(client) != LIGHTNING_OK && failed == 0) failed = 9;
  return failed;
}
