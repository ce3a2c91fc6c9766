#include "pkeys_tests/discipline.h"

#include <cxxabi.h>
#include <dlfcn.h>
#include <signal.h>
#include <sys/auxv.h>
#include <ucontext.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>

#include "store/gate/system_call.h"

namespace lightning::pkeys {
namespace {

enum class Deed { kNothing, kGateCall, kSystemCall, kAllocation, kPointerCall };

// The functions of allocation and of throwing, under their names in the dynamic linker.
constexpr const char* kForbidden[] = {
    "malloc", "calloc", "realloc", "free",   "posix_memalign",           "aligned_alloc", "_Znwm",
    "_Znam",  "_ZdlPv", "_ZdlPvm", "_ZdaPv", "__cxa_allocate_exception", "__cxa_throw",   "_Unwind_RaiseException"};

// All that the handler touches: it allocates nothing.
struct Watch {
  const std::vector<const Gate*>* gates;
  std::array<uint64_t, std::size(kForbidden)> forbidden = {};
  uint64_t vdso_begin = 0, vdso_end = 0;
  DisciplineReport* report;
  struct Seen {
    Deed deed;
    uint64_t at;
  };
  std::array<Seen, 16> seen = {};
  size_t seen_count = 0;
};
Watch* watch = nullptr;

bool InWindow() {
  for (const Gate* gate : *watch->gates) {
    if (gate->windows().load(std::memory_order_relaxed) % 2 != 0) return true;
  }
  return false;
}

bool IsPrefix(uint8_t byte) {
  switch (byte) {
    case 0x26:
    case 0x2E:
    case 0x36:
    case 0x3E:
    case 0x64:
    case 0x65:
    case 0x66:
    case 0x67:
    case 0xF0:
    case 0xF2:
    case 0xF3:
      return true;
    default:
      return (byte & 0xF0) == 0x40;  // REX
  }
}

// What the instruction at `at` is about to do. Intel SDM volume 2: SYSCALL 0F 05, SYSENTER 0F 34, INT CD, CALL FF /2
// and /3.
Deed DeedOf(uint64_t at) {
  if (std::find(watch->forbidden.begin(), watch->forbidden.end(), at) != watch->forbidden.end())
    return Deed::kAllocation;
  if (at >= watch->vdso_begin && at < watch->vdso_end) return Deed::kSystemCall;
  const auto* code = reinterpret_cast<const uint8_t*>(at);
  while (IsPrefix(*code)) ++code;
  if (code[0] == 0x0F && (code[1] == 0x05 || code[1] == 0x34))
    return code + 2 == reinterpret_cast<const uint8_t*>(&lightning_gate_called) ? Deed::kGateCall : Deed::kSystemCall;
  if (code[0] == 0xCD) return Deed::kSystemCall;
  const int kind = code[1] >> 3 & 7;
  return code[0] == 0xFF && (kind == 2 || kind == 3) ? Deed::kPointerCall : Deed::kNothing;
}

void OnTrap(int, siginfo_t*, void* context) {
  if (watch == nullptr) return;  // the last one, on the way out
  const int saved = errno;
  DisciplineReport& report = *watch->report;
  ++report.instructions;
  if (InWindow()) {
    ++report.inside;
    const auto at = static_cast<uint64_t>(static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_RIP]);
    const Deed deed = DeedOf(at);
    report.gate_calls += deed == Deed::kGateCall;
    report.system_calls += deed == Deed::kSystemCall;
    report.allocations += deed == Deed::kAllocation;
    report.pointer_calls += deed == Deed::kPointerCall;
    const bool violation = deed != Deed::kNothing && deed != Deed::kGateCall;
    if (violation && watch->seen_count < watch->seen.size()) watch->seen[watch->seen_count++] = {deed, at};
  }
  errno = saved;
}

std::string Describe(const Watch::Seen& seen) {
  Dl_info info = {};
  std::string where = "an unknown place";
  if (dladdr(reinterpret_cast<const void*>(seen.at), &info) != 0) {
    char offset[40];
    snprintf(offset, sizeof offset, " (+0x%lx)",
             static_cast<unsigned long>(seen.at - reinterpret_cast<uint64_t>(info.dli_fbase)));
    where = std::string(info.dli_sname != nullptr ? info.dli_sname : info.dli_fname) + offset;
  }
  const char* what = seen.deed == Deed::kSystemCall   ? "a system call"
                     : seen.deed == Deed::kAllocation ? "an allocation or a throw"
                                                      : "a call through a pointer";
  return std::string(what) + " in " + where;
}

void SetTrapFlag() { asm volatile("pushfq\n\torq $0x100, (%%rsp)\n\tpopfq" ::: "memory", "cc"); }
void ClearTrapFlag() { asm volatile("pushfq\n\tandq $~0x100, (%%rsp)\n\tpopfq" ::: "memory", "cc"); }

}  // namespace

DisciplineReport WatchWindows(const std::vector<const Gate*>& gates, const std::function<void()>& body) {
  DisciplineReport report;
  Watch mine;
  mine.gates = &gates;
  mine.report = &report;
  for (size_t i = 0; i < mine.forbidden.size(); ++i)
    mine.forbidden[i] = reinterpret_cast<uint64_t>(dlsym(RTLD_DEFAULT, kForbidden[i]));
  mine.vdso_begin = getauxval(AT_SYSINFO_EHDR);
  mine.vdso_end = mine.vdso_begin == 0 ? 0 : mine.vdso_begin + 2 * kPageSize;
  struct sigaction action = {}, before;
  action.sa_sigaction = OnTrap;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGTRAP, &action, &before);
  watch = &mine;
  SetTrapFlag();
  body();
  ClearTrapFlag();
  watch = nullptr;
  sigaction(SIGTRAP, &before, nullptr);
  for (size_t i = 0; i < mine.seen_count; ++i) report.violations.push_back(Describe(mine.seen[i]));
  return report;
}

}  // namespace lightning::pkeys
