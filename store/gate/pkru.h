// Opening and closing the window of mode keys: the only WRPKRU instructions of the library. Each is one asm block, so
// that no compiler can part the instruction from its check.
//
// CLOSED is 0b11 (access and write disabled) in the two bits of our key, which tells the contexts apart at entry:
//   3 normal; 1 a thread older than the key, or a signal handler (the kernel's initial rights); 0 or 2 a leaked window.
// Intel SDM volume 3A, 4.6.2: RDPKRU and WRPKRU need ECX = 0, WRPKRU also EDX = 0; RDPKRU clears EDX.
#pragma once

#include <cstdint>

namespace lightning::pkru {

inline uint32_t Mask(int key) { return 3u << (2 * key); }

inline uint32_t Read() {
  uint32_t eax, edx;
  asm volatile("rdpkru" : "=a"(eax), "=d"(edx) : "c"(0));
  return eax;
}

// Gives this thread full rights to the key's pages. Returns the rights before, in the key's two bits.
inline uint32_t Open(int key) {
  uint32_t before;
  asm volatile(
      "xorl %%ecx, %%ecx\n\t"
      "rdpkru\n\t"
      "movl %%eax, %[before]\n\t"
      "andl %[keep], %%eax\n\t"
      "wrpkru"
      : [before] "=&r"(before)
      : [keep] "r"(~Mask(key))
      : "eax", "ecx", "edx", "memory");
  return before >> (2 * key) & 3;
}

// Takes all rights away again, and traps if the instruction was reached with other rights than that.
inline void Close(int key) {
  asm volatile(
      "xorl %%ecx, %%ecx\n\t"
      "rdpkru\n\t"
      "orl %[mask], %%eax\n\t"
      "wrpkru\n\t"
      "notl %%eax\n\t"
      "testl %[mask], %%eax\n\t"
      "jz 1f\n\t"
      "ud2\n"
      "1:"
      :
      : [mask] "r"(Mask(key))
      : "eax", "ecx", "edx", "memory", "cc");
}

}  // namespace lightning::pkru
