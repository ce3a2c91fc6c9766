#include "faults/audit/machine_code.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace lightning::faults {
namespace {

constexpr uint32_t kRegisters[16][5] = {{X86_REG_RAX, X86_REG_EAX, X86_REG_AX, X86_REG_AL, X86_REG_AH},
                                        {X86_REG_RCX, X86_REG_ECX, X86_REG_CX, X86_REG_CL, X86_REG_CH},
                                        {X86_REG_RDX, X86_REG_EDX, X86_REG_DX, X86_REG_DL, X86_REG_DH},
                                        {X86_REG_RBX, X86_REG_EBX, X86_REG_BX, X86_REG_BL, X86_REG_BH},
                                        {X86_REG_RSP, X86_REG_ESP, X86_REG_SP, X86_REG_SPL, 0},
                                        {X86_REG_RBP, X86_REG_EBP, X86_REG_BP, X86_REG_BPL, 0},
                                        {X86_REG_RSI, X86_REG_ESI, X86_REG_SI, X86_REG_SIL, 0},
                                        {X86_REG_RDI, X86_REG_EDI, X86_REG_DI, X86_REG_DIL, 0},
                                        {X86_REG_R8, X86_REG_R8D, X86_REG_R8W, X86_REG_R8B, 0},
                                        {X86_REG_R9, X86_REG_R9D, X86_REG_R9W, X86_REG_R9B, 0},
                                        {X86_REG_R10, X86_REG_R10D, X86_REG_R10W, X86_REG_R10B, 0},
                                        {X86_REG_R11, X86_REG_R11D, X86_REG_R11W, X86_REG_R11B, 0},
                                        {X86_REG_R12, X86_REG_R12D, X86_REG_R12W, X86_REG_R12B, 0},
                                        {X86_REG_R13, X86_REG_R13D, X86_REG_R13W, X86_REG_R13B, 0},
                                        {X86_REG_R14, X86_REG_R14D, X86_REG_R14W, X86_REG_R14B, 0},
                                        {X86_REG_R15, X86_REG_R15D, X86_REG_R15W, X86_REG_R15B, 0}};

bool IsSetOrMove(uint32_t id) {
  switch (id) {
    case X86_INS_MOV:
    case X86_INS_MOVABS:
    case X86_INS_MOVZX:
    case X86_INS_MOVSX:
    case X86_INS_MOVSXD:
    case X86_INS_LEA:
    case X86_INS_PUSH:
    case X86_INS_POP:
    case X86_INS_NOP:
    case X86_INS_NOT:
    case X86_INS_ENDBR64:
    case X86_INS_MOVAPS:
    case X86_INS_MOVUPS:
    case X86_INS_MOVDQA:
    case X86_INS_MOVDQU:
    case X86_INS_MOVQ:
    case X86_INS_MOVD:
    case X86_INS_SETE:
    case X86_INS_SETNE:
    case X86_INS_CMOVE:
    case X86_INS_CMOVNE:
      return true;
    default:
      return false;
  }
}

constexpr int kEax = 0, kEcx = 1, kEdx = 2;

bool IsTwoRegisters(const Decoded& its, uint32_t id, int first, int second) {
  return its.id == id && its.operand_count == 2 && its.operands[0].type == X86_OP_REG &&
         its.operands[1].type == X86_OP_REG && its.operands[0].size == 4 &&
         (first < 0 || GeneralRegister(its.operands[0].reg) == first) &&
         (second < 0 || GeneralRegister(its.operands[1].reg) == second);
}

// A register that the gate's asm may be given: not one that it uses itself.
int MaskOf(const Decoded& its, size_t operand) {
  const int name = GeneralRegister(its.operands[operand].reg);
  return name == kEax || name == kEcx || name == kEdx ? -1 : name;
}

}  // namespace

int GeneralRegister(uint32_t x86_reg) {
  if (x86_reg == X86_REG_INVALID) return -1;
  for (int i = 0; i < 16; ++i) {
    if (std::find(std::begin(kRegisters[i]), std::end(kRegisters[i]), x86_reg) != std::end(kRegisters[i])) return i;
  }
  return -1;
}

MachineCode::MachineCode(const ElfCode& code) : code_(code) {
  if (cs_open(CS_ARCH_X86, CS_MODE_64, &engine_) != CS_ERR_OK) return;
  cs_option(engine_, CS_OPT_DETAIL, CS_OPT_ON);
  scratch_ = cs_malloc(engine_);
}

MachineCode::~MachineCode() {
  if (scratch_ != nullptr) cs_free(scratch_, 1);
  if (engine_ != 0) cs_close(&engine_);
}

const Decoded& MachineCode::At(uint64_t address) {
  const auto at = known_.find(address);
  if (at != known_.end()) return at->second;
  return known_.emplace(address, Decode(address)).first->second;
}

Decoded MachineCode::Decode(uint64_t address) {
  Decoded result;
  result.address = address;
  const std::string_view bytes = code_.Bytes(address, 16);
  if (bytes.size() >= 3 && bytes[0] == '\x0F' && bytes[1] == '\x01' && (bytes[2] == '\xEE' || bytes[2] == '\xEF')) {
    result.special = bytes[2] == '\xEE' ? Decoded::kRdpkru : Decoded::kWrpkru;
    result.size = 3;
    result.known = true;
    result.written = result.special == Decoded::kRdpkru ? 1u << kEax | 1u << kEdx : 0;
    return result;
  }
  const auto* at = reinterpret_cast<const uint8_t*>(bytes.data());
  size_t left = bytes.size();
  uint64_t where = address;
  if (scratch_ == nullptr || left == 0 || !cs_disasm_iter(engine_, &at, &left, &where, scratch_)) return result;
  Note(*scratch_, &result);
  return result;
}

void MachineCode::Note(const cs_insn& from, Decoded* to) {
  to->known = true;
  to->id = from.id;
  to->size = static_cast<uint8_t>(from.size);
  const cs_x86& detail = from.detail->x86;
  to->operand_count = std::min<uint8_t>(detail.op_count, static_cast<uint8_t>(to->operands.size()));
  std::copy_n(detail.operands, to->operand_count, to->operands.begin());
  to->keeps_flags = IsSetOrMove(from.id);
  cs_regs read, write;
  uint8_t reads = 0, writes = 0;
  if (cs_regs_access(engine_, &from, read, &reads, write, &writes) == CS_ERR_OK) {
    for (uint8_t i = 0; i < writes; ++i) {
      if (const int name = GeneralRegister(write[i]); name >= 0) to->written |= static_cast<uint16_t>(1u << name);
    }
  }
  if (from.id == X86_INS_XRSTOR || from.id == X86_INS_XRSTOR64 || from.id == X86_INS_XRSTORS ||
      from.id == X86_INS_XRSTORS64)
    to->special = Decoded::kXrstor;
  if (from.id == X86_INS_UD2) to->special = Decoded::kUd2;
  if (from.id == X86_INS_UD2 || from.id == X86_INS_HLT || from.id == X86_INS_INT3) to->flow = Flow::kEnd;
  if (cs_insn_group(engine_, &from, X86_GRP_RET)) to->flow = Flow::kReturn;
  if (cs_insn_group(engine_, &from, X86_GRP_CALL)) to->flow = Flow::kCall;
  if (cs_insn_group(engine_, &from, X86_GRP_JUMP)) to->flow = from.id == X86_INS_JMP ? Flow::kJump : Flow::kBranch;
  if (to->flow == Flow::kOn || to->flow == Flow::kEnd || to->flow == Flow::kReturn || to->operand_count == 0) return;
  const cs_x86_op& operand = to->operands[0];
  if (operand.type == X86_OP_IMM) to->target = static_cast<uint64_t>(operand.imm);
  if (operand.type == X86_OP_MEM && operand.mem.base == X86_REG_RIP && operand.mem.index == X86_REG_INVALID)
    to->pointer = to->next() + static_cast<uint64_t>(operand.mem.disp);
}

bool MachineCode::BeginsInstruction(uint64_t address) {
  const Function* function = code_.FunctionAt(address);
  uint64_t at = address;
  if (function != nullptr) {
    at = function->begin;
  } else {
    for (const ElfCode::Section& section : code_.code()) {
      if (section.Has(address)) at = section.address;
    }
    for (const Function& its : code_.functions()) {
      if (its.end <= address) at = std::max(at, its.end);
    }
  }
  while (at < address) at = At(at).next();
  return at == address;
}

std::optional<GateSequence> SequenceAt(MachineCode& code, uint64_t address) {
  std::array<Decoded, 8> its;
  for (size_t i = 0; i < its.size(); ++i) its[i] = code.At(i == 0 ? address : its[i - 1].next());
  if (!IsTwoRegisters(its[0], X86_INS_XOR, kEcx, kEcx) || its[1].special != Decoded::kRdpkru) return std::nullopt;
  GateSequence found;
  found.begin = address;
  if (IsTwoRegisters(its[2], X86_INS_MOV, -1, kEax) && IsTwoRegisters(its[3], X86_INS_AND, kEax, -1) &&
      its[4].special == Decoded::kWrpkru) {
    found.opens = true;
    found.mask = MaskOf(its[3], 1);
    found.write = its[4].address;
    found.end = its[4].next();
    if (found.mask < 0 || MaskOf(its[2], 0) < 0 || MaskOf(its[2], 0) == found.mask) return std::nullopt;
    return found;
  }
  if (!IsTwoRegisters(its[2], X86_INS_OR, kEax, -1) || its[3].special != Decoded::kWrpkru) return std::nullopt;
  found.mask = MaskOf(its[2], 1);
  found.write = its[3].address;
  found.end = its[7].next();
  const bool inverts = its[4].id == X86_INS_NOT && GeneralRegister(its[4].operands[0].reg) == kEax;
  // `test` is symmetric, and assemblers write it either way.
  const bool tests =
      IsTwoRegisters(its[5], X86_INS_TEST, kEax, found.mask) || IsTwoRegisters(its[5], X86_INS_TEST, found.mask, kEax);
  const bool traps = its[6].id == X86_INS_JE && its[6].target == found.end && its[7].special == Decoded::kUd2;
  if (found.mask < 0 || !inverts || its[4].operands[0].size != 4 || !tests || !traps) return std::nullopt;
  return found;
}

std::optional<GateSequence> SequenceAround(MachineCode& code, uint64_t write, std::string* missing) {
  // The instructions before it are 2, 3 and 2 or 3 bytes long (close), and 2 or 3 more (open).
  for (uint64_t before = 7; before <= 11; ++before) {
    const auto found = SequenceAt(code, write - before);
    if (found && found->write == write) return found;
  }
  const Decoded& trap = code.At(write + 3);
  bool reads = false, sets = false;
  for (uint64_t before = 5; before <= 11; ++before) {
    const Decoded& its = code.At(write - before);
    reads = reads || its.special == Decoded::kRdpkru;
    sets = sets || (its.id == X86_INS_OR && its.next() == write);
  }
  sets = sets || code.At(write - 2).id == X86_INS_OR || code.At(write - 3).id == X86_INS_OR;
  if (!reads) {
    *missing = "no RDPKRU before it: it writes all keys' rights, and not the gate's two bits alone";
  } else if (sets && (trap.id != X86_INS_NOT)) {
    *missing = "rights are taken away, and the check that traps when they were not is missing after it";
  } else if (sets) {
    *missing = "the check behind it is not the gate's";
  } else {
    *missing = "neither the gate's opening nor its closing sequence";
  }
  return std::nullopt;
}

}  // namespace lightning::faults
