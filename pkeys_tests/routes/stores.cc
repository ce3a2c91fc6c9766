// Stores that every x86-64 processor has, each of one instruction.
#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <string>

#include "pkeys_tests/routes/arena.h"

namespace lightning::routes {
namespace {

void Byte(Arena&, std::byte* at) { asm volatile("notb (%0)" ::"r"(at) : "memory", "cc"); }
void Mov(Arena&, std::byte* at) { asm volatile("movq %1, (%0)" ::"r"(at), "r"(kStray) : "memory"); }
void Mov16(Arena&, std::byte* at) { asm volatile("movw %w1, (%0)" ::"r"(at), "r"(kStray) : "memory"); }
void MovUnaligned(Arena&, std::byte* at) { asm volatile("movq %1, 3(%0)" ::"r"(at), "r"(kStray) : "memory"); }
void MovAcrossLine(Arena&, std::byte* at) { asm volatile("movq %1, 61(%0)" ::"r"(at), "r"(kStray) : "memory"); }
void MovAcrossPage(Arena&, std::byte* at) { asm volatile("movq %1, 4093(%0)" ::"r"(at), "r"(kStray) : "memory"); }
void SseAcrossPage(Arena&, std::byte* at) {
  asm volatile("movq %1, %%xmm0\n\tpunpcklqdq %%xmm0, %%xmm0\n\tmovdqu %%xmm0, 4091(%0)" ::"r"(at), "r"(kStray)
               : "xmm0", "memory");
}
void Movbe(Arena&, std::byte* at) { asm volatile("movbe %1, (%0)" ::"r"(at), "r"(kStray) : "memory"); }
void Xchg(Arena&, std::byte* at) {
  uint64_t value = kStray;
  asm volatile("xchgq %1, (%0)" : : "r"(at), "r"(value) : "memory");
}
void LockAdd(Arena&, std::byte* at) { asm volatile("lock addq %1, (%0)" ::"r"(at), "r"(kStray) : "memory", "cc"); }
void LockXadd(Arena&, std::byte* at) {
  uint64_t value = kStray;
  asm volatile("lock xaddq %1, (%0)" : "+r"(at), "+r"(value) : : "memory", "cc");
}
void LockNot(Arena&, std::byte* at) { asm volatile("lock notq (%0)" ::"r"(at) : "memory"); }
void LockBtc(Arena&, std::byte* at) { asm volatile("lock btcq $1, (%0)" ::"r"(at) : "memory", "cc"); }
void Increment(Arena&, std::byte* at) { asm volatile("incq (%0)" ::"r"(at) : "memory", "cc"); }
void CompareExchange(Arena& arena, std::byte* at) {
  asm volatile("lock cmpxchgq %2, (%1)" ::"a"(arena.PeekWord(at)), "r"(at), "r"(kStray) : "memory", "cc");
}
void CompareExchange16(Arena& arena, std::byte* at) {
  asm volatile("lock cmpxchg16b (%0)" ::"r"(at), "a"(arena.PeekWord(at)), "d"(arena.PeekWord(at + 8)), "b"(kStray),
               "c"(kStray)
               : "memory", "cc");
}
void SetCarry(Arena& arena, std::byte* at) {
  // Stores 1 where the byte is even, 0 where it is odd.
  const uint32_t even = ~static_cast<uint32_t>(arena.Peek(at)) & 1;
  asm volatile("btl $0, %1\n\tsetc (%0)" ::"r"(at), "r"(even) : "memory", "cc");
}
void PopMemory(Arena&, std::byte* at) {
  asm volatile("subq $128, %%rsp\n\tpushq %1\n\tpopq (%0)\n\taddq $128, %%rsp" ::"r"(at), "r"(kStray) : "memory", "cc");
}
// The stack pointer goes astray for the store itself. The fault's own frame comes to the alternate stack.
void Push(Arena&, std::byte* at) {
  asm volatile("movq %%rsp, %%rbx\n\tleaq 8(%0), %%rsp\n\tpushq %1\n\tmovq %%rbx, %%rsp" ::"r"(at), "r"(kStray)
               : "rbx", "memory");
}
void Call(Arena&, std::byte* at) {
  asm volatile("movq %%rsp, %%rbx\n\tleaq 8(%0), %%rsp\n\tcall 1f\n1:\n\tmovq %%rbx, %%rsp" ::"r"(at)
               : "rbx", "memory");
}
void PushFlags(Arena&, std::byte* at) {
  asm volatile("movq %%rsp, %%rbx\n\tleaq 8(%0), %%rsp\n\tpushfq\n\tmovq %%rbx, %%rsp" ::"r"(at) : "rbx", "memory");
}
void RepMovsb(Arena&, std::byte* at) {
  char from[16];
  memset(from, 0x5A, sizeof from);
  const char* source = from;
  size_t count = sizeof from;
  asm volatile("rep movsb" : "+D"(at), "+S"(source), "+c"(count) : : "memory");
}
void RepMovsq(Arena&, std::byte* at) {
  const uint64_t from[2] = {kStray, kStray};
  const uint64_t* source = from;
  size_t count = 2;
  asm volatile("rep movsq" : "+D"(at), "+S"(source), "+c"(count) : : "memory");
}
void RepStosb(Arena&, std::byte* at) {
  size_t count = 16;
  asm volatile("rep stosb" : "+D"(at), "+c"(count) : "a"(0x5A) : "memory");
}
void RepStosqPages(Arena&, std::byte* at) {
  size_t count = 1024;  // two pages
  asm volatile("rep stosq" : "+D"(at), "+c"(count) : "a"(kStray) : "memory");
}
// From a writable page into the segment: the bytes before the border land, and not one behind it.
void RepStosbAcrossBorder(Arena&, std::byte* at) {
  constexpr size_t kBefore = 64, kPage = 4096;
  void* const below = mmap(at - kPage, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  if (below != at - kPage) abort();
  const auto fill = [](std::byte* to, size_t count) {
    asm volatile("rep stosb" : "+D"(to), "+c"(count) : "a"(0x5A) : "memory");
  };
  const Fault fault = Guarded([&] { fill(at - kBefore, 2 * kBefore); });
  for (const std::byte* byte = at - kBefore; byte < at; ++byte) {
    if (*byte != std::byte{0x5A}) return;
  }
  // The fault again, for whoever watches this act.
  if (fault.happened && fault.address == reinterpret_cast<uint64_t>(at)) fill(at, kBefore);
}
void RepStosbBackwards(Arena&, std::byte* at) {
  size_t count = 16;
  std::byte* last = at + 15;
  asm volatile("std\n\trep stosb\n\tcld" : "+D"(last), "+c"(count) : "a"(0x5A) : "memory", "cc");
}
void ControlWord(Arena&, std::byte* at) { asm volatile("fnstcw (%0)" ::"r"(at) : "memory"); }
void FloatStore(Arena&, std::byte* at) { asm volatile("fldpi\n\tfstpt (%0)" ::"r"(at) : "memory", "st"); }
void Mxcsr(Arena&, std::byte* at) { asm volatile("stmxcsr (%0)" ::"r"(at) : "memory"); }
void Fxsave(Arena&, std::byte* at) { asm volatile("fxsave64 (%0)" ::"r"(at) : "memory"); }
void Memset(Arena&, std::byte* at) {
  // The C library's own choice of instructions.
  static void* (*volatile fill)(void*, int, size_t) = memset;
  fill(at, 0x5A, 256);
}
void Memcpy(Arena&, std::byte* at) {
  static const std::string source(4096, 'Z');
  static void* (*volatile copy)(void*, const void*, size_t) = memcpy;
  copy(at, source.data(), source.size());
}

constexpr Sign kF = Sign::kFault;
constexpr Act kStores[] = {
    {"mov", kF, Mov},
    {"mov_byte", kF, Byte},
    {"mov_16_bit", kF, Mov16},
    {"mov_unaligned", kF, MovUnaligned},
    {"mov_across_line", kF, MovAcrossLine, 72, 64},
    {"mov_across_page", kF, MovAcrossPage, 4104, 4096},
    {"sse_across_page", kF, SseAcrossPage, 4112, 4096},
    {"movbe", kF, Movbe},
    {"xchg", kF, Xchg},
    {"lock_add", kF, LockAdd},
    {"lock_xadd", kF, LockXadd},
    {"lock_not", kF, LockNot},
    {"lock_btc", kF, LockBtc},
    {"inc", kF, Increment},
    {"lock_cmpxchg", kF, CompareExchange},
    {"lock_cmpxchg16b", kF, CompareExchange16, 16, 16},
    {"setc", kF, SetCarry},
    {"pop_to_memory", kF, PopMemory},
    {"push", kF, Push},
    {"call", kF, Call},
    {"pushf", kF, PushFlags},
    {"rep_movsb", kF, RepMovsb},
    {"rep_movsq", kF, RepMovsq},
    {"rep_stosb", kF, RepStosb},
    {"rep_stosq_two_pages", kF, RepStosqPages, 8192, 4096},
    {"rep_stosb_backwards", kF, RepStosbBackwards},
    {"rep_stosb_across_border", kF, RepStosbAcrossBorder, 64, 8, 0, nullptr, true},
    {"fnstcw", kF, ControlWord},
    {"fstp_80_bit", kF, FloatStore},
    {"stmxcsr", kF, Mxcsr},
    {"fxsave", kF, Fxsave, 512, 16},
    {"memset", kF, Memset, 256},
    {"memcpy_page", kF, Memcpy, 4096},
};

}  // namespace

std::span<const Act> Stores() { return kStores; }

}  // namespace lightning::routes
