#include "faults/engine/decoder.h"

#include <sys/syscall.h>
#include <sys/uio.h>

namespace lightning::faults {
namespace {

// Reads what is mapped; code may end at the end of a page.
size_t ReadCode(pid_t process, uint64_t address, uint8_t* to, size_t size) {
  iovec local{to, size}, remote{reinterpret_cast<void*>(address), size};
  ssize_t got = process_vm_readv(process, &local, 1, &remote, 1, 0);
  if (got > 0) return static_cast<size_t>(got);
  const uint64_t left = 4096 - address % 4096;
  if (left >= size) return 0;
  remote.iov_len = local.iov_len = left;
  got = process_vm_readv(process, &local, 1, &remote, 1, 0);
  return got > 0 ? static_cast<size_t>(got) : 0;
}

// 64-bit general registers; false for all others.
bool Value(uint16_t name, const user_regs_struct& r, uint64_t* value) {
  switch (name) {
    case X86_REG_INVALID:
      *value = 0;
      return true;
    case X86_REG_RAX:
      *value = r.rax;
      return true;
    case X86_REG_RBX:
      *value = r.rbx;
      return true;
    case X86_REG_RCX:
      *value = r.rcx;
      return true;
    case X86_REG_RDX:
      *value = r.rdx;
      return true;
    case X86_REG_RSI:
      *value = r.rsi;
      return true;
    case X86_REG_RDI:
      *value = r.rdi;
      return true;
    case X86_REG_RBP:
      *value = r.rbp;
      return true;
    case X86_REG_RSP:
      *value = r.rsp;
      return true;
    case X86_REG_R8:
      *value = r.r8;
      return true;
    case X86_REG_R9:
      *value = r.r9;
      return true;
    case X86_REG_R10:
      *value = r.r10;
      return true;
    case X86_REG_R11:
      *value = r.r11;
      return true;
    case X86_REG_R12:
      *value = r.r12;
      return true;
    case X86_REG_R13:
      *value = r.r13;
      return true;
    case X86_REG_R14:
      *value = r.r14;
      return true;
    case X86_REG_R15:
      *value = r.r15;
      return true;
    case X86_REG_RIP:
      *value = r.rip;
      return true;
    default:
      return false;
  }
}

// These only look like writing, or write to the stack alone.
bool WritesNothing(unsigned id) { return id == X86_INS_NOP || id == X86_INS_LEA || id == X86_INS_ENDBR64; }

}  // namespace

bool ChangesMappings(uint64_t call) {
  return call == SYS_mmap || call == SYS_munmap || call == SYS_mremap || call == SYS_brk || call == SYS_execve;
}

Decoder::Decoder() {
  if (cs_open(CS_ARCH_X86, CS_MODE_64, &engine_) != CS_ERR_OK) return;
  cs_option(engine_, CS_OPT_DETAIL, CS_OPT_ON);
  scratch_ = cs_malloc(engine_);
}

Decoder::~Decoder() {
  if (scratch_ != nullptr) cs_free(scratch_, 1);
  if (engine_ != 0) cs_close(&engine_);
}

const Instruction& Decoder::At(pid_t process, uint64_t address) {
  const auto at = known_.find(address);
  if (at != known_.end()) return at->second;
  return known_.emplace(address, Decode(process, address)).first->second;
}

Instruction Decoder::Decode(pid_t process, uint64_t address) {
  Instruction result;
  result.unknown = true;
  uint8_t code[16];
  const size_t size = ReadCode(process, address, code, sizeof code);
  const uint8_t* at = code;
  size_t left = size;
  uint64_t where = address;
  if (size > 0 && code[0] == 0xCC) result.breakpoint = true;
  if (scratch_ == nullptr || !cs_disasm_iter(engine_, &at, &left, &where, scratch_)) return result;
  result.unknown = false;
  result.size = static_cast<uint8_t>(scratch_->size);
  result.system_call = scratch_->id == X86_INS_SYSCALL;
  if (WritesNothing(scratch_->id)) return result;
  const cs_x86& detail = scratch_->detail->x86;
  for (uint8_t i = 0; i < detail.op_count; ++i) {
    const cs_x86_op& operand = detail.operands[i];
    // Read or written: the disassembler's tables are wrong about some (cmpxchg in Capstone 4), and a look costs little.
    if (operand.type != X86_OP_MEM) continue;
    if (result.operand_count == result.operands.size()) {
      result.unknown = true;
      break;
    }
    result.operands[result.operand_count++] = {
        static_cast<uint16_t>(operand.mem.base), static_cast<uint16_t>(operand.mem.index),
        static_cast<uint16_t>(operand.mem.segment), operand.mem.scale, operand.mem.disp};
  }
  return result;
}

bool EffectiveAddress(const Instruction& instruction, const Instruction::Operand& operand,
                      const user_regs_struct& registers, uint64_t* address) {
  uint64_t base = 0, index = 0;
  if (!Value(operand.base, registers, &base) || !Value(operand.index, registers, &index)) return false;
  if (operand.base == X86_REG_RIP) base += instruction.size;
  *address = base + index * static_cast<uint64_t>(operand.scale) + static_cast<uint64_t>(operand.displacement);
  if (operand.segment == X86_REG_FS) *address += registers.fs_base;
  if (operand.segment == X86_REG_GS) *address += registers.gs_base;
  return true;
}

}  // namespace lightning::faults
