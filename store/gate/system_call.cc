#include "store/gate/system_call.h"

// From the order of a function call (rdi rsi rdx rcx r8 r9, stack) to that of a system call (rax; rdi rsi rdx
// r10 r8 r9).
asm(R"(
        .pushsection .text
        .globl lightning_gate_call, lightning_gate_called
        .hidden lightning_gate_call, lightning_gate_called
        .type lightning_gate_call, @function
        .p2align 4
lightning_gate_call:
        .cfi_startproc
        endbr64
        movq %rdi, %rax
        movq %rsi, %rdi
        movq %rdx, %rsi
        movq %rcx, %rdx
        movq %r8, %r10
        movq %r9, %r8
        movq 8(%rsp), %r9
        syscall
lightning_gate_called:
        ret
        .cfi_endproc
        .size lightning_gate_call, .-lightning_gate_call
        .popsection
)");
