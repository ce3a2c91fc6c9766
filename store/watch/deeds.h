// What an instruction is about to do, judged for the rule of windows: while one is open there is no system call but the
// gate's own, no call of the vDSO, no allocation, no throw, and no call through a pointer.
//
// Jumps through a pointer are not counted: the linkage table's, and those of switches.
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

  // Of the instruction at address `at`. Intel SDM volume 2: SYSCALL 0F 05, SYSENTER 0F 34, INT CD, CALL FF /2 and /3.
  Deed Judge(uint64_t at) const {
    if (std::find(forbidden_.begin(), forbidden_.end(), at) != forbidden_.end()) return Deed::kAllocation;
    if (at >= vdso_begin_ && at < vdso_end_) return Deed::kSystemCall;
    const auto* code = reinterpret_cast<const uint8_t*>(at);
    while (IsPrefix(*code)) ++code;
    if (code[0] == 0x0F && (code[1] == 0x05 || code[1] == 0x34))
      return code + 2 == reinterpret_cast<const uint8_t*>(&lightning_gate_called) ? Deed::kGateCall : Deed::kSystemCall;
    if (code[0] == 0xCD) return Deed::kSystemCall;
    const int kind = code[1] >> 3 & 7;
    return code[0] == 0xFF && (kind == 2 || kind == 3) ? Deed::kPointerCall : Deed::kNothing;
  }

 private:
  static bool IsPrefix(uint8_t byte) {
    constexpr uint8_t kPrefixes[] = {0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF0, 0xF2, 0xF3};
    constexpr uint8_t kRex = 0x40;
    return (byte & 0xF0) == kRex || std::find(std::begin(kPrefixes), std::end(kPrefixes), byte) != std::end(kPrefixes);
  }

  std::array<uint64_t, std::size(kForbiddenFunctions)> forbidden_ = {};
  uint64_t vdso_begin_ = 0, vdso_end_ = 0;
};

inline bool IsViolation(Deed deed) { return deed != Deed::kNothing && deed != Deed::kGateCall; }

// "a system call in FUNCTION (+0xOFFSET)" into `text`; the length, as snprintf. The offset is from where its file
// begins.
inline int DescribeDeed(Deed deed, uint64_t at, char* text, size_t size) {
  const char* what = deed == Deed::kSystemCall   ? "a system call"
                     : deed == Deed::kAllocation ? "an allocation or a throw"
                                                 : "a call through a pointer";
  Dl_info info = {};
  if (dladdr(reinterpret_cast<const void*>(at), &info) == 0)
    return snprintf(text, size, "%s at an unknown place, 0x%lx", what, static_cast<unsigned long>(at));
  return snprintf(text, size, "%s in %s (+0x%lx)", what, info.dli_sname != nullptr ? info.dli_sname : info.dli_fname,
                  static_cast<unsigned long>(at - reinterpret_cast<uint64_t>(info.dli_fbase)));
}

}  // namespace lightning
