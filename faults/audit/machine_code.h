// Instructions of a file's code, decoded once each. Capstone 4 does not know RDPKRU and WRPKRU, so those are told by
// their bytes.
#pragma once

#include <capstone/capstone.h>

#include <array>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "faults/audit/elf_code.h"

namespace lightning::faults {

enum class Flow : uint8_t { kOn, kJump, kBranch, kCall, kReturn, kEnd };

struct Decoded {
  enum Special : uint8_t { kNone, kRdpkru, kWrpkru, kXrstor, kUd2 };
  uint64_t address = 0;
  uint32_t id = 0;  // x86_insn; 0: could not be decoded, or special
  uint8_t size = 1;
  Special special = kNone;
  Flow flow = Flow::kOn;
  bool known = false;
  std::optional<uint64_t> target;   // of a direct jump, branch or call
  std::optional<uint64_t> pointer;  // where an indirect one reads its target, when that is one place
  uint8_t operand_count = 0;
  std::array<cs_x86_op, 4> operands = {};
  uint16_t written = 0;  // general registers, one bit each
  bool keeps_flags = false;

  uint64_t next() const { return address + size; }
};

// 0..15 for a general register of any width, in the order of the encoding; -1 for any other.
int GeneralRegister(uint32_t x86_reg);

class MachineCode {
 public:
  explicit MachineCode(const ElfCode& code);
  ~MachineCode();
  MachineCode(const MachineCode&) = delete;
  MachineCode& operator=(const MachineCode&) = delete;

  const Decoded& At(uint64_t address);
  // Whether an instruction begins at the address when one decodes from the beginning of its function on.
  bool BeginsInstruction(uint64_t address);
  const ElfCode& elf() const { return code_; }

 private:
  Decoded Decode(uint64_t address);
  void Note(const cs_insn& from, Decoded* to);

  const ElfCode& code_;
  csh engine_ = 0;
  cs_insn* scratch_ = nullptr;
  std::unordered_map<uint64_t, Decoded> known_;
};

// The gate's two sequences (store/gate/pkru.h), by their instructions; registers are the compiler's choice:
//   open   xor ecx,ecx; rdpkru; mov B,eax; and eax,K; wrpkru             K: all but the key's two bits
//   close  xor ecx,ecx; rdpkru; or eax,M; wrpkru; not eax; test eax,M; je over; ud2; over:     M: those two bits
struct GateSequence {
  bool opens = false;
  uint64_t begin = 0, end = 0;
  uint64_t write = 0;  // address of the WRPKRU
  int mask = -1;       // the register K or M
};

// The sequence that begins here, if one does.
std::optional<GateSequence> SequenceAt(MachineCode& code, uint64_t address);
// The sequence whose WRPKRU stands here; else none, and `*missing` says what there should have been.
std::optional<GateSequence> SequenceAround(MachineCode& code, uint64_t write, std::string* missing);

}  // namespace lightning::faults
