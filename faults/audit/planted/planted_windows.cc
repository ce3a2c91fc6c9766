// Libraries with one thing wrong each (PLANTED), that the audit must refuse; and with NOTHING wrong, that it must not.
#include <csetjmp>
#include <cstdint>
#include <string>

#include "store/gate/pkru.h"

#define LONE 1
#define UNCHECKED 2
#define WRONG_MASK 3
#define ONE_PATH 4
#define THROWS 5
#define RESTORES 6
#define HIDDEN 7
#define JUMPED_INTO 8
#define TAIL_CALL 9
#define FAR_JUMP 10
#define TWICE 11
#define LOOP 12
#define NOTHING 13

namespace pkru = lightning::pkru;

extern "C" {
void planted_store(uint64_t* to, uint64_t value);
std::string* planted_make(int size);
int planted_next(int value);
extern jmp_buf planted_back;
}

namespace {

[[maybe_unused]] void Store(uint64_t* to, uint64_t value) { asm volatile("movq %1, %0" : "=m"(*to) : "r"(value)); }

// A closing that can be entered behind what sets EAX.
[[maybe_unused, gnu::always_inline]] inline void JumpInto(uint32_t mask, int value) {
  asm volatile(
      "testl %[value], %[value]\n\tjs 2f\n\t.byte 0x90\n\txorl %%ecx, %%ecx\n\trdpkru\n\torl %[mask], %%eax\n"
      "2:\n\twrpkru\n\tnotl %%eax\n\ttestl %[mask], %%eax\n\tjz 1f\n\tud2\n1:"
      :
      : [mask] "r"(mask), [value] "r"(value)
      : "eax", "ecx", "edx", "memory", "cc");
}

// As Window and Gate do it: a mode that is tested at both ends, and a flag that a callee may clear.
struct Door {
  uint8_t mode;
  int key;
};
class Opened {
 public:
  explicit Opened(const Door& door) : door_(door) {
    if (door_.mode == 1) pkru::Open(door_.key);
    open_ = true;
  }
  ~Opened() {
    if (open_ && door_.mode == 1) pkru::Close(door_.key);
  }
  Opened(const Opened&) = delete;
  Opened& operator=(const Opened&) = delete;

 private:
  const Door& door_;
  bool open_ = false;
};

}  // namespace

extern "C" void planted(const Door* door, uint64_t* to, int value) {
  [[maybe_unused]] const int key = door->key;
#if PLANTED == LONE
  asm volatile("wrpkru" : : "a"(value), "c"(0), "d"(0) : "memory");
#elif PLANTED == UNCHECKED
  pkru::Open(key);
  Store(to, 1);
  asm volatile("xorl %%ecx, %%ecx\n\trdpkru\n\torl %[mask], %%eax\n\twrpkru"
               :
               : [mask] "r"(pkru::Mask(key))
               : "eax", "ecx", "edx", "memory", "cc");
#elif PLANTED == WRONG_MASK
  uint32_t before;
  asm volatile("xorl %%ecx, %%ecx\n\trdpkru\n\tmovl %%eax, %[before]\n\tandl %[keep], %%eax\n\twrpkru"
               : [before] "=&r"(before)
               : [keep] "r"(~(15u << (2 * key)))
               : "eax", "ecx", "edx", "memory");
  Store(to, 1);
  pkru::Close(key);
#elif PLANTED == ONE_PATH
  pkru::Open(key);
  Store(to, 1);
  if (value < 0) return;
  pkru::Close(key);
#elif PLANTED == THROWS
  const std::string* const made = planted_make(value);
  const std::string kept = *made;  // has to be destroyed when what follows throws
  pkru::Open(key);
  planted_store(to, kept.size());
  pkru::Close(key);
#elif PLANTED == RESTORES
  asm volatile("xrstor64 (%0)" : : "r"(to), "a"(value), "d"(0) : "memory");
#elif PLANTED == HIDDEN
  asm volatile("movl $0x00EF010F, %%eax\n\tmovl %%eax, %0" : "=m"(*to) : : "eax");
#elif PLANTED == JUMPED_INTO
  JumpInto(pkru::Mask(key), value);
#elif PLANTED == TAIL_CALL
  pkru::Open(key);
  return planted_store(to, 1);
#elif PLANTED == FAR_JUMP
  pkru::Open(key);
  Store(to, 1);
  if (value < 0) longjmp(planted_back, 1);
  pkru::Close(key);
#elif PLANTED == TWICE
  pkru::Open(key);
  if (value > 0) pkru::Open(key + 1);
  Store(to, 1);
  if (value > 0) pkru::Close(key + 1);
  pkru::Close(key);
#elif PLANTED == LOOP
  for (int i = value; i != 0; i = planted_next(i)) {
    pkru::Open(key);
    Store(to, 1);
    if (i == 7) continue;
    pkru::Close(key);
  }
#elif PLANTED == NOTHING
  const Opened window(*door);
  for (int i = value; i != 0; i = planted_next(i)) {
    if (i == 3) return;
    planted_store(to, planted_make(i)->size());
  }
#else
#error "PLANTED: which?"
#endif
  static_cast<void>(to);
  static_cast<void>(value);
}
