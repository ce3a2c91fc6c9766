// What an instruction is about to do, judged for the rule of windows: while one is open there is no system call but the
// gate's own, no call of the vDSO, no allocation, no throw, and no call through a pointer, nor a jump through one that
// leaves its function: a call at the end of one.
#pragma once

#include <dlfcn.h>
#include <sys/auxv.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <iterator>

#include "store/gate/system_call.h"
#include "store/watch/pointer_jump.h"

namespace lightning {

enum class Deed { kNothing, kGateCall, kSystemCall, kAllocation, kPointerCall };

// The functions of allocation and of throwing, under their names in the dynamic linker.
inline constexpr const char* kForbiddenFunctions[] = {
    "malloc", "calloc", "realloc", "free",   "posix_memalign",           "aligned_alloc", "_Znwm",
    "_Znam",  "_ZdlPv", "_ZdlPvm", "_ZdaPv", "__cxa_allocate_exception", "__cxa_throw",   "_Unwind_RaiseException"};

// Judges instructions. Looks the functions up when it is made; judging allocates nothing and may be done by a handler.
class DeedJudge {
 public:
  DeedJudge() {
    for (size_t i = 0; i < forbidden_.size(); ++i)
      forbidden_[i] = reinterpret_cast<uint64_t>(dlsym(RTLD_DEFAULT, kForbiddenFunctions[i]));
    vdso_begin_ = getauxval(AT_SYSINFO_EHDR);
    vdso_end_ = vdso_begin_ == 0 ? 0 : vdso_begin_ + 2 * 4096;
  }

  // Of the instruction that is next with these registers. Intel SDM volume 2: SYSCALL 0F 05, SYSENTER 0F 34, INT CD,
  // CALL FF /2 and /3, JMP FF /4 and /5.
  Deed Judge(const greg_t* registers) const {
    const auto at = static_cast<uint64_t>(registers[REG_RIP]);
    if (std::find(forbidden_.begin(), forbidden_.end(), at) != forbidden_.end()) return Deed::kAllocation;
    if (at >= vdso_begin_ && at < vdso_end_) return Deed::kSystemCall;
    const auto* code = reinterpret_cast<const uint8_t*>(at);
    uint8_t rex = 0;
    bool in_segment = false;
    for (; IsPrefix(*code); ++code) {
      rex = (*code & 0xF0) == kRex ? *code : 0;  // which counts right before the opcode alone
      in_segment = in_segment || *code == 0x64 || *code == 0x65;
    }
    if (code[0] == 0x0F && (code[1] == 0x05 || code[1] == 0x34))
      return code + 2 == reinterpret_cast<const uint8_t*>(&lightning_gate_called) ? Deed::kGateCall : Deed::kSystemCall;
    if (code[0] == 0xCD) return Deed::kSystemCall;
    const int kind = code[1] >> 3 & 7;
    if (code[0] != 0xFF) return Deed::kNothing;
    if (kind == 2 || kind == 3) return Deed::kPointerCall;
    const bool leaves = (kind == 4 || kind == 5) && jumps_.LeavesFunction(at, code, rex, in_segment, registers);
    return leaves ? Deed::kPointerCall : Deed::kNothing;
  }

 private:
  static constexpr uint8_t kRex = 0x40;
  static bool IsPrefix(uint8_t byte) {
    constexpr uint8_t kPrefixes[] = {0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF0, 0xF2, 0xF3};
    return (byte & 0xF0) == kRex || std::find(std::begin(kPrefixes), std::end(kPrefixes), byte) != std::end(kPrefixes);
  }

  std::array<uint64_t, std::size(kForbiddenFunctions)> forbidden_ = {};
  uint64_t vdso_begin_ = 0, vdso_end_ = 0;
  PointerJumps jumps_;
};

inline bool IsViolation(Deed deed) { return deed != Deed::kNothing && deed != Deed::kGateCall; }

// "a system call in FUNCTION (+0xOFFSET)" into `text`; the length, as snprintf. The offset is from where its file
// begins.
inline int DescribeDeed(Deed deed, uint64_t at, char* text, size_t size) {
  const char* what = deed == Deed::kSystemCall   ? "a system call"
                     : deed == Deed::kAllocation ? "an allocation or a throw"
                                                 : "a call or jump through a pointer";
  Dl_info info = {};
  if (dladdr(reinterpret_cast<const void*>(at), &info) == 0)
    return snprintf(text, size, "%s at an unknown place, 0x%lx", what, static_cast<unsigned long>(at));
  return snprintf(text, size, "%s in %s (+0x%lx)", what, info.dli_sname != nullptr ? info.dli_sname : info.dli_fname,
                  static_cast<unsigned long>(at - reinterpret_cast<uint64_t>(info.dli_fbase)));
}

}  // namespace lightning
