// Which memory an instruction may write, told before it runs: so that most steps need no look at the segment at all.
#pragma once

#include <capstone/capstone.h>
#include <sys/types.h>
#include <sys/user.h>

#include <array>
#include <cstdint>
#include <unordered_map>

namespace lightning::faults {

// Whether a system call, by its number, may change where the segment's file stands in the process.
bool ChangesMappings(uint64_t call);

struct Instruction {
  uint8_t size = 0;
  bool breakpoint = false;
  bool system_call = false;
  bool unknown = false;       // could not be decoded
  uint8_t operand_count = 0;  // memory operands, each of which it may write
  struct Operand {
    uint16_t base, index, segment;  // x86_reg
    int32_t scale;
    int64_t displacement;
  };
  std::array<Operand, 2> operands = {};
};

class Decoder {
 public:
  Decoder();
  ~Decoder();
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  // The instruction at `address` of the stopped process. Remembered: code does not change.
  const Instruction& At(pid_t process, uint64_t address);
  void Forget() { known_.clear(); }

 private:
  Instruction Decode(pid_t process, uint64_t address);

  csh engine_ = 0;
  cs_insn* scratch_ = nullptr;
  std::unordered_map<uint64_t, Instruction> known_;
};

// Where the operand points, with the registers as they are before the instruction. False when that cannot be told.
bool EffectiveAddress(const Instruction& instruction, const Instruction::Operand& operand,
                      const user_regs_struct& registers, uint64_t* address);

}  // namespace lightning::faults
