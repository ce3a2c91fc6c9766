// Loaded into lightning-store with LD_PRELOAD, for its tests: what an audit has to find. $LIGHTNING_PLANT says which:
//   alias FILE   a writable mapping of FILE that the store has not made
//   inherited    MADV_DONTFORK does nothing, so that a child would get the control mapping
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char kAlias[] = "alias ";

__attribute__((constructor)) static void Plant(void) {
  const char* plant = getenv("LIGHTNING_PLANT");
  if (plant == NULL || strncmp(plant, kAlias, sizeof kAlias - 1) != 0) return;
  const int fd = open(plant + sizeof kAlias - 1, O_RDWR | O_CLOEXEC);
  if (fd < 0 || mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED) abort();
  close(fd);
}

__attribute__((visibility("default"))) int madvise(void* address, size_t size, int advice) {
  const char* plant = getenv("LIGHTNING_PLANT");
  if (advice == MADV_DONTFORK && plant != NULL && strcmp(plant, "inherited") == 0) return 0;
  return (int)syscall(SYS_madvise, address, size, advice);
}
