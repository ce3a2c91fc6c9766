// Functions that end in a jump through a pointer, with an operand of each form, and one that jumps within itself, as a
// switch does: for the tests of who watches windows. Included by one source of a program.
#pragma once

extern "C" {
void lightning_jump_register();
void lightning_jump_high_register();
void lightning_jump_memory();
void lightning_jump_table();
void lightning_jump_variable();
void lightning_jump_switch();
}

#define LIGHTNING_JUMP(name, code) #name ": .cfi_startproc\n" code "\n.cfi_endproc\n"
asm(".pushsection .text\n"  //
    LIGHTNING_JUMP(lightning_jump_target, "ret")
    LIGHTNING_JUMP(lightning_jump_register, "leaq lightning_jump_target(%rip), %rax\njmp *%rax")
    LIGHTNING_JUMP(lightning_jump_high_register, "leaq lightning_jump_target(%rip), %r11\njmp *%r11")
    LIGHTNING_JUMP(lightning_jump_memory,
                   "leaq lightning_jump_target(%rip), %rax\nmovq %rax, -16(%rsp)\nleaq -24(%rsp), %r9\njmp *8(%r9)")
    LIGHTNING_JUMP(lightning_jump_table, "leaq lightning_jump_pointers(%rip), %rcx\nmovl $1, %r9d\njmp *(%rcx,%r9,8)")
    LIGHTNING_JUMP(lightning_jump_variable, "jmp *lightning_jump_pointers(%rip)")
    LIGHTNING_JUMP(lightning_jump_switch, "leaq 1f(%rip), %rax\njmp *%rax\nnop\n1: ret")
    ".popsection\n"
    ".pushsection .data.rel.ro, \"aw\"\n.balign 8\n"
    "lightning_jump_pointers: .quad lightning_jump_target, lightning_jump_target\n"
    ".popsection");
#undef LIGHTNING_JUMP

namespace lightning::test {

enum class Jump { kRegister, kHighRegister, kMemory, kTable, kVariable, kSwitch };
inline constexpr Jump kJumpsOut[] = {Jump::kRegister, Jump::kHighRegister, Jump::kMemory, Jump::kTable,
                                     Jump::kVariable};

// Calls it by its name.
inline void Do(Jump jump) {
  switch (jump) {
    case Jump::kRegister:
      return lightning_jump_register();
    case Jump::kHighRegister:
      return lightning_jump_high_register();
    case Jump::kMemory:
      return lightning_jump_memory();
    case Jump::kTable:
      return lightning_jump_table();
    case Jump::kVariable:
      return lightning_jump_variable();
    case Jump::kSwitch:
      return lightning_jump_switch();
  }
}

}  // namespace lightning::test
