// Functions that may not be called inside a window, before those of the C library: they tell the recorder, and go on as
// those do. In a program that is linked with the store they are the ones that everybody calls; where a program loads it
// later, it must be preloaded. A throw allocates its exception here first.
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>

#include "store/watch/recorder.h"

// glibc's own names of its allocator.
extern "C" {
void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* block, size_t size);
void* __libc_memalign(size_t alignment, size_t size);
void __libc_free(void* block);
}

namespace {

inline __attribute__((always_inline)) void Tell(const void* function) {
  if (__builtin_expect(lightning::lightning_recording != 0, 0))
    lightning::CalledForbidden(function, __builtin_return_address(0));
}

}  // namespace

#define LIGHTNING_FORBIDDEN __attribute__((visibility("default"), noinline))
extern "C" {

LIGHTNING_FORBIDDEN void* malloc(size_t size) {
  Tell(reinterpret_cast<const void*>(&malloc));
  return __libc_malloc(size);
}

LIGHTNING_FORBIDDEN void* calloc(size_t count, size_t size) {
  Tell(reinterpret_cast<const void*>(&calloc));
  return __libc_calloc(count, size);
}

LIGHTNING_FORBIDDEN void* realloc(void* block, size_t size) {
  Tell(reinterpret_cast<const void*>(&realloc));
  return __libc_realloc(block, size);
}

LIGHTNING_FORBIDDEN void free(void* block) {
  Tell(reinterpret_cast<const void*>(&free));
  __libc_free(block);
}

LIGHTNING_FORBIDDEN void* aligned_alloc(size_t alignment, size_t size) {
  Tell(reinterpret_cast<const void*>(&aligned_alloc));
  return __libc_memalign(alignment, size);
}

LIGHTNING_FORBIDDEN int posix_memalign(void** place, size_t alignment, size_t size) {
  Tell(reinterpret_cast<const void*>(&posix_memalign));
  if (alignment % sizeof(void*) != 0 || (alignment & (alignment - 1)) != 0 || alignment == 0) return EINVAL;
  void* const block = __libc_memalign(alignment, size);
  if (block == nullptr) return ENOMEM;
  *place = block;
  return 0;
}

// Those whose work the vDSO does, where the kernel could not see it; by system calls here, which it does.
LIGHTNING_FORBIDDEN int clock_gettime(clockid_t clock, timespec* time) noexcept {
  return static_cast<int>(syscall(SYS_clock_gettime, clock, time));
}

LIGHTNING_FORBIDDEN int gettimeofday(timeval* time, void* zone) noexcept {
  return static_cast<int>(syscall(SYS_gettimeofday, time, zone));
}

LIGHTNING_FORBIDDEN time_t time(time_t* place) noexcept { return syscall(SYS_time, place); }

}  // extern "C"
