/* A small store that survives every death, and versions of it with a bug planted, by which the harness is tested:
 * PLANTED is one of the names below. Two tables, of which one is current: a writer fills the other one and then makes
 * it current by one store. The kernel releases a dead writer's lock. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "faults/target/lightning_target.h"

#define NOTHING 0
#define TORN 1      /* changes the current table in place */
#define LEFT_LOCK 2 /* its lock is a word in shared memory, which stays taken when its owner dies */
#define DRIFT 3     /* counts its rows beside the table, in a store of its own */
#define ABORTS 4    /* gives up when it sees that somebody died */
#ifndef PLANTED
#define PLANTED NOTHING
#endif

enum { kRows = 16 };

typedef struct {
  char key[24], value[208]; /* an empty key: free */
} Row;

typedef struct {
  _Atomic uint32_t current, lock, busy;
  _Atomic uint64_t rows;
  Row tables[2][kRows];
} Shared;

typedef struct {
  int file;
  Shared* shared;
} Client;

static const char* System(int result) { return result < 0 ? strerror(errno) : NULL; }

static void Lock(Client* client) {
  if (PLANTED == LEFT_LOCK) {
    uint32_t free_word = 0;
    while (!atomic_compare_exchange_weak(&client->shared->lock, &free_word, 1)) free_word = 0;
  } else {
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    fcntl(client->file, F_SETLKW, &whole);
  }
  if (PLANTED == ABORTS && client->shared->busy) abort();
  if (PLANTED == ABORTS) client->shared->busy = 1;
}

static void Unlock(Client* client) {
  if (PLANTED == ABORTS) client->shared->busy = 0;
  if (PLANTED == LEFT_LOCK) {
    client->shared->lock = 0;
  } else {
    struct flock whole = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
    fcntl(client->file, F_SETLK, &whole);
  }
}

static const char* Open(const char* directory, int flags, Client* client) {
  char path[4096];
  snprintf(path, sizeof path, "%s/table", directory);
  client->file = open(path, O_RDWR | O_CLOEXEC | flags, 0600);
  if (client->file < 0) return strerror(errno);
  if (flags != 0 && ftruncate(client->file, sizeof(Shared)) != 0) return strerror(errno);
  client->shared = mmap(NULL, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED, client->file, 0);
  return client->shared == MAP_FAILED ? strerror(errno) : NULL;
}

static const char* Detach(void* context) {
  Client* client = context;
  munmap(client->shared, sizeof(Shared));
  const char* error = System(close(client->file));
  free(client);
  return error;
}

static const char* Create(const char* directory) {
  Client* client = calloc(1, sizeof *client);
  const char* error = client == NULL ? "no memory" : Open(directory, O_CREAT | O_EXCL, client);
  return error != NULL ? error : Detach(client);
}

static const char* Attach(const char* directory, void** client) {
  *client = calloc(1, sizeof(Client));
  return *client == NULL ? "no memory" : Open(directory, 0, *client);
}

static Row* Find(Row* table, const char* key) {
  for (int i = 0; i < kRows; ++i)
    if (strcmp(table[i].key, key) == 0) return &table[i];
  return NULL;
}

static const char* Change(Client* client, const char* key, const char* value) {
  Lock(client);
  const uint32_t current = client->shared->current;
  Row* table = client->shared->tables[PLANTED == TORN ? current : 1 - current];
  if (PLANTED != TORN) memcpy(table, client->shared->tables[current], sizeof client->shared->tables[0]);
  Row* row = Find(table, key);
  const int rows = (value != NULL) - (row != NULL);
  if (row == NULL) row = Find(table, "");
  if (row != NULL) {
    snprintf(row->value, sizeof row->value, "%s", value == NULL ? "" : value);
    snprintf(row->key, sizeof row->key, "%s", value == NULL ? "" : key);
  }
  if (PLANTED != TORN && row != NULL) client->shared->current = 1 - current;
  if (PLANTED == DRIFT) client->shared->rows += (uint64_t)(int64_t)rows;
  Unlock(client);
  return row == NULL ? "the table is full" : NULL;
}

static const char* Put(void* client, const char* key, const char* value) { return Change(client, key, value); }
static const char* Remove(void* client, const char* key) { return Change(client, key, NULL); }

static const char* List(void* context, lightning_target_item item, void* to) {
  Client* client = context;
  Lock(client);
  const Row* table = client->shared->tables[client->shared->current];
  for (int i = 0; i < kRows; ++i)
    if (table[i].key[0] != '\0') item(to, table[i].key, table[i].value);
  Unlock(client);
  return NULL;
}

static const char* Check(void* context, lightning_target_text violation, void* to) {
  const Client* client = context;
  const Row* table = client->shared->tables[client->shared->current];
  uint64_t rows = 0;
  for (int i = 0; i < kRows; ++i) rows += table[i].key[0] != '\0';
  if (PLANTED == DRIFT && rows != client->shared->rows) violation(to, "the number of rows is wrong");
  return NULL;
}

const lightning_target* lightning_target_get(void) {
  static const lightning_target target = {
      .version = LIGHTNING_TARGET_VERSION,
      .struct_size = sizeof(lightning_target),
      .name = "planted",
      .create = Create,
      .attach = Attach,
      .detach = Detach,
      .put = Put,
      .remove = Remove,
      .list = List,
      .check = Check,
  };
  return &target;
}
