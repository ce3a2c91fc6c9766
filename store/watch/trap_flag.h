// The processor's trap flag of this thread: while it is set, each instruction is followed by a SIGTRAP. Both functions
// leave the red zone below the stack pointer alone.
#pragma once

namespace lightning {

inline void SetTrapFlag() {
  asm volatile("leaq -128(%%rsp), %%rsp\n\tpushfq\n\torq $0x100, (%%rsp)\n\tpopfq\n\tleaq 128(%%rsp), %%rsp" ::
                   : "memory", "cc");
}
inline void ClearTrapFlag() {
  asm volatile("leaq -128(%%rsp), %%rsp\n\tpushfq\n\tandq $~0x100, (%%rsp)\n\tpopfq\n\tleaq 128(%%rsp), %%rsp" ::
                   : "memory", "cc");
}

}  // namespace lightning
