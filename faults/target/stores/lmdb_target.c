/* LMDB as a target. MDB_WRITEMAP makes its stores visible in the map one by one, and without syncs: whether it survives
 * the death of the machine is not asked, but that of a process. */
#include <errno.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "faults/target/lightning_target.h"

static const unsigned kFlags = MDB_WRITEMAP | MDB_NOSYNC | MDB_NOMETASYNC | MDB_NOMEMINIT;

typedef struct {
  MDB_env* env;
  MDB_dbi database;
} Client;

static const char* Answer(int code) { return code == MDB_SUCCESS ? NULL : mdb_strerror(code); }

static const char* Attach(const char* directory, void** out) {
  Client* client = calloc(1, sizeof *client);
  MDB_txn* txn = NULL;
  int code = client == NULL ? ENOMEM : mdb_env_create(&client->env);
  if (code == 0) code = mdb_env_set_mapsize(client->env, 256 << 10);
  if (code == 0) code = mdb_env_set_maxreaders(client->env, 16);
  if (code == 0) code = mdb_env_open(client->env, directory, kFlags, 0600);
  if (code == 0) code = mdb_txn_begin(client->env, NULL, MDB_RDONLY, &txn);
  if (code == 0) code = mdb_dbi_open(txn, NULL, 0, &client->database);
  if (code == 0) code = mdb_txn_commit(txn);
  *out = client;
  return Answer(code);
}

static const char* Detach(void* context) {
  mdb_env_close(((Client*)context)->env);
  return NULL;
}

static const char* Create(const char* directory) {
  void* client = NULL;
  const char* error = Attach(directory, &client);
  return error != NULL ? error : Detach(client);
}

static const char* Change(Client* client, const char* key, const char* value) {
  MDB_txn* txn = NULL;
  MDB_val k = {strlen(key), (void*)key}, v = {value == NULL ? 0 : strlen(value), (void*)value};
  int code = mdb_txn_begin(client->env, NULL, 0, &txn);
  if (code != 0) return Answer(code);
  code = value == NULL ? mdb_del(txn, client->database, &k, NULL) : mdb_put(txn, client->database, &k, &v, 0);
  if (code == 0) return Answer(mdb_txn_commit(txn));
  mdb_txn_abort(txn);
  return Answer(code);
}

static const char* Put(void* client, const char* key, const char* value) { return Change(client, key, value); }
static const char* Remove(void* client, const char* key) { return Change(client, key, NULL); }

/* Calls `item` for each pair, or adds up the pages in the database of free pages (number 0). */
static int Walk(MDB_txn* txn, MDB_dbi database, lightning_target_item item, void* context, size_t* free_pages) {
  MDB_cursor* cursor = NULL;
  MDB_val key, value;
  int code = mdb_cursor_open(txn, database, &cursor);
  while (code == 0 && (code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
    char k[256], v[256];
    if (free_pages != NULL) {
      size_t count;
      memcpy(&count, value.mv_data, sizeof count);
      *free_pages += count;
      continue;
    }
    snprintf(k, sizeof k, "%.*s", (int)key.mv_size, (const char*)key.mv_data);
    snprintf(v, sizeof v, "%.*s", (int)value.mv_size, (const char*)value.mv_data);
    item(context, k, v);
  }
  mdb_cursor_close(cursor);
  return code == MDB_NOTFOUND ? 0 : code;
}

static const char* List(void* context, lightning_target_item item, void* to) {
  Client* client = context;
  MDB_txn* txn = NULL;
  int code = mdb_txn_begin(client->env, NULL, MDB_RDONLY, &txn);
  if (code == 0) code = Walk(txn, client->database, item, to, NULL);
  if (txn != NULL) mdb_txn_abort(txn);
  return Answer(code);
}

/* Whoever takes the mutex of a dead writer recovers; what dead readers left is asked for by name. */
static const char* Recover(void* context) {
  Client* client = context;
  MDB_txn* txn = NULL;
  const int code = mdb_txn_begin(client->env, NULL, 0, &txn);
  if (code != 0) return Answer(code);
  mdb_txn_abort(txn);
  return Answer(mdb_reader_check(client->env, NULL));
}

/* Every page is in the tree, in the database of free pages or on its list, or one of the two meta pages. */
static const char* Check(void* context, lightning_target_text violation, void* to) {
  Client* client = context;
  MDB_txn* txn = NULL;
  MDB_stat tree, of_free;
  MDB_envinfo info;
  size_t free_pages = 0;
  int code = mdb_txn_begin(client->env, NULL, MDB_RDONLY, &txn);
  if (code == 0) code = mdb_stat(txn, client->database, &tree);
  if (code == 0) code = mdb_stat(txn, 0, &of_free);
  if (code == 0) code = mdb_env_info(client->env, &info);
  if (code == 0) code = Walk(txn, 0, NULL, NULL, &free_pages);
  if (txn != NULL) mdb_txn_abort(txn);
  if (code != 0) return Answer(code);
  const size_t used = 2 + free_pages + tree.ms_branch_pages + tree.ms_leaf_pages + tree.ms_overflow_pages +
                      of_free.ms_branch_pages + of_free.ms_leaf_pages + of_free.ms_overflow_pages;
  char text[128];
  snprintf(text, sizeof text, "%zu pages are accounted for, of %zu", used, info.me_last_pgno + 1);
  if (used != info.me_last_pgno + 1) violation(to, text);
  return NULL;
}

const lightning_target* lightning_target_get(void) {
  static char name[64];
  snprintf(name, sizeof name, "LMDB %d.%d.%d", MDB_VERSION_MAJOR, MDB_VERSION_MINOR, MDB_VERSION_PATCH);
  static const lightning_target target = {LIGHTNING_TARGET_VERSION,
                                          sizeof(lightning_target),
                                          name,
                                          Create,
                                          Attach,
                                          Detach,
                                          Put,
                                          Remove,
                                          List,
                                          Recover,
                                          Check,
                                          NULL};
  return &target;
}
