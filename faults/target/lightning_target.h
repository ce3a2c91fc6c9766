/* The interface by which `lightning-faults target` tries to break any store that processes share through files they map
 * (a file under /dev/shm is one). C11 and C++.
 *
 *   lightning-faults target --target ./my_store.so
 *
 * A target is a shared object that exports one function, `lightning_target_get`. The harness loads it in processes of
 * its own: some create a store and attach to it, one of them is killed in the middle of an operation, and the others
 * say what is left. docs/tutorial.md leads from an empty file to a first caught bug; faults/target/stores/ has whole
 * ones.
 *
 * What is tested is a map from keys to values. Keys and values are words: 1 to 200 of the characters a-z, 0-9.
 *
 * Errors: every function that can fail returns NULL when all is well, else one sentence that stays valid until the next
 * call. A function of the target may also crash or hang: the harness reports that.
 * Threads: each process calls from one thread alone, and calls nothing after a fork. Threads that a target starts are
 * neither stepped nor stopped.
 */
#ifndef LIGHTNING_TARGET_H_
#define LIGHTNING_TARGET_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Raised when a field changes its meaning. New fields come at the end, and struct_size tells that they are there. */
#define LIGHTNING_TARGET_VERSION 1

/* The harness's, to be called for each thing that is told; `context` is handed on as it is. Texts are copied. */
typedef void (*lightning_target_item)(void* context, const char* key, const char* value);
typedef void (*lightning_target_text)(void* context, const char* text);

typedef struct lightning_target {
  uint32_t version;     /* LIGHTNING_TARGET_VERSION */
  uint32_t struct_size; /* sizeof(lightning_target) */
  const char* name;     /* for people, with the version of what is tested: "LMDB 0.9.24" */

  /* Makes an empty store in `directory`, an absolute path of a directory that exists and is empty. */
  const char* (*create)(const char* directory);
  /* Becomes a client of the store there, of which others may be clients already; `*client` goes to the calls below. */
  const char* (*attach)(const char* directory, void** client);
  /* Leaves. Optional. */
  const char* (*detach)(void* client);

  /* Inserts or replaces. This call and remove are what a client dies in. */
  const char* (*put)(void* client, const char* key, const char* value);
  /* The key is there. */
  const char* (*remove)(void* client, const char* key);
  /* Tells every pair, in any order. */
  const char* (*list)(void* client, lightning_target_item item, void* context);

  /* What a client has to do after another one died. Optional: some stores heal themselves at the next operation. */
  const char* (*recover)(void* client);
  /* Tells each violation of an invariant: a sentence. Called after recover, while nobody changes the store. Optional.
   */
  const char* (*check)(void* client, lightning_target_text violation, void* context);

  /* Tells the absolute paths of the files that hold the shared bytes, the same number whenever it is asked; they need
   * not exist yet. The addresses follow from a client's mappings of them. Optional: by default every file in the
   * directory counts. */
  void (*shared)(const char* directory, lightning_target_text path, void* context);
} lightning_target;

/* What the shared object exports. The structure stays valid for ever. */
#if defined(__GNUC__)
__attribute__((visibility("default")))
#endif
const lightning_target*
lightning_target_get(void);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* LIGHTNING_TARGET_H_ */
