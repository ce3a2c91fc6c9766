// The gate's own system calls on its mappings. All of them run the one SYSCALL instruction of lightning_gate_call, so
// that a seccomp filter can tell them from everybody else's by the address that it is called from (harden.h).
#pragma once

#include <sys/mman.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>

namespace lightning {

extern "C" {
// As the kernel answers: a result, or minus an errno.
long lightning_gate_call(long number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f);
// Behind that SYSCALL instruction: what a filter sees as the instruction pointer of such a call.
extern const char lightning_gate_called[];
}

// As syscall() of libc: -1 and errno when it fails.
inline long GateCall(long number, const void* address, uint64_t size = 0, uint64_t c = 0, uint64_t d = 0,
                     uint64_t e = 0, uint64_t f = 0) {
  const long result = lightning_gate_call(number, reinterpret_cast<uint64_t>(address), size, c, d, e, f);
  if (result >= 0 || result < -4095) return result;
  errno = static_cast<int>(-result);
  return -1;
}

inline int GateProtect(const void* address, uint64_t size, int protection) {
  return static_cast<int>(GateCall(SYS_mprotect, address, size, static_cast<uint64_t>(protection)));
}
inline int GateProtectWithKey(const void* address, uint64_t size, int protection, int key) {
  return static_cast<int>(
      GateCall(SYS_pkey_mprotect, address, size, static_cast<uint64_t>(protection), static_cast<uint64_t>(key)));
}
inline int GateUnmap(const void* address, uint64_t size) {
  return static_cast<int>(GateCall(SYS_munmap, address, size));
}
// Puts addresses that nobody can access where something was mapped.
inline int GateReserve(const void* address, uint64_t size) {
  constexpr uint64_t kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
  return GateCall(SYS_mmap, address, size, PROT_NONE, kFlags, ~uint64_t{0}) == -1 ? -1 : 0;
}

}  // namespace lightning
