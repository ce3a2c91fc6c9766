// Jumps through a pointer (FF /4 and /5): where they lead, and whether that is another function. Those of a switch stay
// in their own, and those of the linkage table are calls by name; what is left is a call at the end of a function.
#pragma once

#include <elf.h>
#include <link.h>
#include <ucontext.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

// Of the unwinder (libgcc), which finds a function's beginning by its unwind information, without a symbol.
struct lightning_unwind_bases {
  void *text, *data, *function;
};
extern "C" const void* _Unwind_Find_FDE(void* at, lightning_unwind_bases* bases);

namespace lightning {

class PointerJumps {
 public:
  // Looks up the linkage tables of what is loaded.
  PointerJumps() {
    dl_iterate_phdr(
        [](dl_phdr_info* info, size_t, void* slots) {
          AddSlots(*info, *static_cast<std::vector<uint64_t>*>(slots));
          return 0;
        },
        &slots_);
    std::sort(slots_.begin(), slots_.end());
  }

  // Whether the jump at `at`, whose opcode FF stands at `opcode` with the REX prefix `rex` (0: none) and whose operand
  // is relative to a segment or not, leaves its function. Allocates nothing, and may be asked by a handler.
  bool LeavesFunction(uint64_t at, const uint8_t* opcode, uint8_t rex, bool in_segment, const greg_t* registers) const {
    if (in_segment || (opcode[1] >> 3 & 7) == 5) return true;  // nothing of ours jumps so
    uint64_t target;
    if (opcode[1] >> 6 == 3) {
      target = Register(static_cast<uint8_t>((opcode[1] & 7) | (rex & 1) << 3), registers);
    } else {
      const uint64_t pointer = Address(opcode, rex, registers);
      if (std::binary_search(slots_.begin(), slots_.end(), pointer)) return false;
      memcpy(&target, reinterpret_cast<const void*>(pointer), sizeof target);
    }
    // A switch may lead into its function's cold part, which has unwind information of its own, but not to a beginning.
    return FunctionOf(target) != FunctionOf(at) && (FunctionOf(target) == target || FunctionOf(target) == 0);
  }

 private:
  // The pointers that the dynamic linker sets to functions. Relocations: the ABI of x86-64, table 4.9.
  static void AddSlots(const dl_phdr_info& info, std::vector<uint64_t>& slots) {
    uint64_t tables[2] = {}, sizes[2] = {};
    for (int i = 0; i < info.dlpi_phnum; ++i) {
      if (info.dlpi_phdr[i].p_type != PT_DYNAMIC) continue;
      for (auto* its = reinterpret_cast<const ElfW(Dyn)*>(info.dlpi_addr + info.dlpi_phdr[i].p_vaddr);
           its->d_tag != DT_NULL; ++its) {
        if (its->d_tag == DT_JMPREL) tables[0] = its->d_un.d_ptr;
        if (its->d_tag == DT_PLTRELSZ) sizes[0] = its->d_un.d_val;
        if (its->d_tag == DT_RELA) tables[1] = its->d_un.d_ptr;
        if (its->d_tag == DT_RELASZ) sizes[1] = its->d_un.d_val;
      }
    }
    for (int table = 0; table < 2; ++table) {
      // glibc has added the place where the file is loaded; not for the vDSO, which has no such relocations.
      const auto* entries = reinterpret_cast<const ElfW(Rela)*>(tables[table]);
      for (uint64_t i = 0; i < sizes[table] / sizeof *entries; ++i) {
        const auto type = ELF64_R_TYPE(entries[i].r_info);
        if (type == R_X86_64_JUMP_SLOT || type == R_X86_64_GLOB_DAT || type == R_X86_64_IRELATIVE)
          slots.push_back(info.dlpi_addr + entries[i].r_offset);
      }
    }
  }

  static uint64_t Register(uint8_t number, const greg_t* registers) {
    constexpr int kOrder[] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                              REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
    return static_cast<uint64_t>(registers[kOrder[number]]);
  }

  // Of an operand in memory. Intel SDM volume 2, tables 2-2 and 2-3.
  static uint64_t Address(const uint8_t* opcode, uint8_t rex, const greg_t* registers) {
    const uint8_t mod = opcode[1] >> 6, rm = opcode[1] & 7;
    const uint8_t* rest = opcode + 2;
    uint64_t address = 0;
    bool wide = mod == 2;
    if (rm == 4) {
      const uint8_t scale = *rest >> 6;
      const auto index = static_cast<uint8_t>((*rest >> 3 & 7) | (rex >> 1 & 1) << 3);
      const auto base = static_cast<uint8_t>((*rest & 7) | (rex & 1) << 3);
      if (index != 4) address += Register(index, registers) << scale;
      wide = wide || (mod == 0 && (*rest & 7) == 5);
      if (!(mod == 0 && (*rest & 7) == 5)) address += Register(base, registers);
      ++rest;
    } else if (mod == 0 && rm == 5) {
      address = reinterpret_cast<uint64_t>(rest) + 4;  // from where the next instruction begins
      wide = true;
    } else {
      address = Register(static_cast<uint8_t>(rm | (rex & 1) << 3), registers);
    }
    int32_t displacement = mod == 1 ? static_cast<int8_t>(*rest) : 0;
    if (wide) memcpy(&displacement, rest, sizeof displacement);
    return address + static_cast<uint64_t>(int64_t{displacement});
  }

  // 0: there is no unwind information.
  static uint64_t FunctionOf(uint64_t at) {
    lightning_unwind_bases bases = {};
    if (_Unwind_Find_FDE(reinterpret_cast<void*>(at), &bases) == nullptr) return 0;
    return reinterpret_cast<uint64_t>(bases.function);
  }

  std::vector<uint64_t> slots_;  // addresses, sorted
};

}  // namespace lightning
