// Classic BPF has 32-bit registers A and X, sixteen words of memory, and jumps forwards over at most 255 instructions.
// Which instruction pointer a filter sees, and what a refused call returns: seccomp(2).
#include "store/gate/seccomp_filter.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>

#include "store/gate/system_call.h"

namespace lightning {
namespace {

using Range = Gate::Mappings::Range;

constexpr uint32_t kDeny = SECCOMP_RET_ERRNO | EPERM, kAllow = SECCOMP_RET_ALLOW;
constexpr uint32_t kEndLow = 0, kEndHigh = 1, kBeginHigh = 2, kBeginLow = 3, kCarry = 5;  // words of memory
constexpr uint32_t kNumber = offsetof(seccomp_data, nr), kArch = offsetof(seccomp_data, arch);
constexpr uint32_t kPointer = offsetof(seccomp_data, instruction_pointer);

constexpr uint32_t LowWord(uint32_t argument) {
  return offsetof(seccomp_data, args) + argument * static_cast<uint32_t>(sizeof(uint64_t));
}
constexpr uint32_t HighWord(uint32_t argument) { return LowWord(argument) + 4; }
uint32_t LowHalf(uint64_t value) { return static_cast<uint32_t>(value); }
uint32_t HighHalf(uint64_t value) { return static_cast<uint32_t>(value >> 32); }

class Program {
 public:
  void Emit(int code, uint32_t k = 0) { code_.push_back(BPF_STMT(static_cast<uint16_t>(code), k)); }
  void Load(uint32_t offset) { Emit(BPF_LD | BPF_W | BPF_ABS, offset); }
  void Jump(int kind, uint32_t k, uint8_t if_true, uint8_t if_false) {
    code_.push_back(BPF_JUMP(static_cast<uint16_t>(BPF_JMP | kind), k, if_true, if_false));
  }
  void Return(uint32_t verdict) { Emit(BPF_RET | BPF_K, verdict); }
  // Returns `verdict` when A is `k`.
  void ReturnIf(uint32_t k, uint32_t verdict) {
    Jump(BPF_JEQ | BPF_K, k, 0, 1);
    Return(verdict);
  }

  // The gate's own calls may pass.
  void AllowTheGate() {
    const auto called = reinterpret_cast<uint64_t>(&lightning_gate_called);
    Load(kPointer);
    Jump(BPF_JEQ | BPF_K, LowHalf(called), 0, 3);
    Load(kPointer + 4);
    ReturnIf(HighHalf(called), kAllow);
  }

  // Arguments `address` and `size` are a range: into memory, as beginning and end. A size of 0 counts as 1, since
  // mremap makes another mapping of such a range.
  void NoteRange(uint32_t address, uint32_t size) {
    Load(LowWord(size));
    Emit(BPF_MISC | BPF_TAX);
    Load(HighWord(size));
    Emit(BPF_ALU | BPF_OR | BPF_X);
    Jump(BPF_JEQ | BPF_K, 0, 0, 1);
    Emit(BPF_LDX | BPF_IMM, 1);
    Load(LowWord(address));
    Emit(BPF_ST, kBeginLow);
    Emit(BPF_ALU | BPF_ADD | BPF_X);
    Emit(BPF_ST, kEndLow);
    Emit(BPF_LD | BPF_IMM, 0);
    Emit(BPF_ST, kCarry);
    Emit(BPF_LDX | BPF_MEM, kBeginLow);
    Emit(BPF_LD | BPF_MEM, kEndLow);
    Jump(BPF_JGE | BPF_X, 0, 2, 0);
    Emit(BPF_LD | BPF_IMM, 1);
    Emit(BPF_ST, kCarry);
    Emit(BPF_LDX | BPF_MEM, kCarry);
    Load(HighWord(size));
    Emit(BPF_ALU | BPF_ADD | BPF_X);
    Emit(BPF_MISC | BPF_TAX);
    Load(HighWord(address));
    Emit(BPF_ST, kBeginHigh);
    Emit(BPF_ALU | BPF_ADD | BPF_X);
    Emit(BPF_ST, kEndHigh);
  }

  // Denies when the noted range touches `range`: it begins before the end, and ends behind the beginning.
  void DenyIn(const Range& range) {
    Emit(BPF_LD | BPF_MEM, kBeginHigh);
    Jump(BPF_JGT | BPF_K, HighHalf(range.end), 9, 0);
    Jump(BPF_JEQ | BPF_K, HighHalf(range.end), 0, 2);
    Emit(BPF_LD | BPF_MEM, kBeginLow);
    Jump(BPF_JGE | BPF_K, LowHalf(range.end), 6, 0);
    Emit(BPF_LD | BPF_MEM, kEndHigh);
    Jump(BPF_JGT | BPF_K, HighHalf(range.begin), 3, 0);
    Jump(BPF_JEQ | BPF_K, HighHalf(range.begin), 0, 3);
    Emit(BPF_LD | BPF_MEM, kEndLow);
    Jump(BPF_JGT | BPF_K, LowHalf(range.begin), 0, 1);
    Return(kDeny);
  }

  std::vector<sock_filter> code_;
};

}  // namespace

std::vector<sock_filter> SeccompFilter(const std::vector<Gate::Mappings>& gates) {
  std::vector<Range> ranges;
  int key = -1;
  for (const Gate::Mappings& gate : gates) {
    if (!gate.complete) continue;
    for (const Range& range : {gate.reserved, gate.view, gate.spare}) {
      if (range.end != range.begin) ranges.push_back(range);
    }
    if (gate.key >= 0) key = gate.key;
  }
  Program p;
  p.Load(kArch);
  p.Jump(BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0);
  p.Return(kDeny);
  p.Load(kNumber);
  constexpr uint32_t kX32 = 0x40000000;  // another numbering of the same calls
  p.Jump(BPF_JGE | BPF_K, kX32, 0, 1);
  p.Return(kDeny);
  for (const uint32_t number : {uint32_t{SYS_process_vm_writev}, uint32_t{SYS_ptrace}, uint32_t{SYS_userfaultfd}})
    p.ReturnIf(number, kDeny);
  p.Jump(BPF_JEQ | BPF_K, SYS_pkey_free, 0, 8);
  p.AllowTheGate();
  p.Load(LowWord(0));
  p.Jump(BPF_JEQ | BPF_K, static_cast<uint32_t>(key), 0, 1);
  p.Return(kDeny);
  // mmap replaces what was there only when it is told so.
  p.Load(kNumber);
  p.Jump(BPF_JEQ | BPF_K, SYS_mmap, 0, 4);
  p.Load(LowWord(3));
  p.Jump(BPF_JSET | BPF_K, 0x10 /* MAP_FIXED */, 1, 0);
  p.Return(kAllow);
  p.Jump(BPF_JA, 8, 0, 0);
  p.Jump(BPF_JEQ | BPF_K, SYS_mprotect, 7, 0);
  p.Jump(BPF_JEQ | BPF_K, SYS_munmap, 6, 0);
  p.Jump(BPF_JEQ | BPF_K, SYS_mremap, 5, 0);
  p.Jump(BPF_JEQ | BPF_K, SYS_madvise, 4, 0);
  p.Jump(BPF_JEQ | BPF_K, SYS_remap_file_pages, 3, 0);
  p.Jump(BPF_JEQ | BPF_K, SYS_pkey_mprotect, 2, 0);
  p.Return(kAllow);
  p.Return(kAllow);
  p.AllowTheGate();
  p.NoteRange(0, 1);
  for (const Range& range : ranges) p.DenyIn(range);
  // Where mremap moves to.
  p.Load(kNumber);
  p.Jump(BPF_JEQ | BPF_K, SYS_mremap, 1, 0);
  p.Return(kAllow);
  p.Load(LowWord(3));
  p.Jump(BPF_JSET | BPF_K, 2 /* MREMAP_FIXED */, 1, 0);
  p.Return(kAllow);
  p.NoteRange(4, 2);
  for (const Range& range : ranges) p.DenyIn(range);
  p.Return(kAllow);
  return std::move(p.code_);
}

Status InstallSeccompFilter(std::vector<sock_filter> filter) {
  if (filter.size() > BPF_MAXINSNS) return Status(Code::kUnsupported, "too many clients for one seccomp filter");
  const sock_fprog program{static_cast<unsigned short>(filter.size()), filter.data()};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return Status(Code::kSystem, "no_new_privs", errno);
  const long failed = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);
  if (failed > 0) return Status(Code::kSystem, "a thread has a seccomp filter of its own");
  return failed == 0 ? Status() : Status(Code::kSystem, "installing the seccomp filter", errno);
}

}  // namespace lightning
