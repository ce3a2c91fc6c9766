#include "pkeys_tests/discipline.h"

#include <signal.h>
#include <ucontext.h>

#include <array>
#include <cerrno>

#include "store/watch/deeds.h"
#include "store/watch/trap_flag.h"

namespace lightning::pkeys {
namespace {

// All that the handler touches: it allocates nothing.
struct Watch {
  const std::vector<const Gate*>* gates;
  DeedJudge judge;
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

void OnTrap(int, siginfo_t*, void* context) {
  if (watch == nullptr) return;  // the last one, on the way out
  const int saved = errno;
  DisciplineReport& report = *watch->report;
  ++report.instructions;
  if (InWindow()) {
    ++report.inside;
    const greg_t* const registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
    const auto at = static_cast<uint64_t>(registers[REG_RIP]);
    const Deed deed = watch->judge.Judge(registers);
    report.gate_calls += deed == Deed::kGateCall;
    report.system_calls += deed == Deed::kSystemCall;
    report.allocations += deed == Deed::kAllocation;
    report.pointer_calls += deed == Deed::kPointerCall;
    if (IsViolation(deed) && watch->seen_count < watch->seen.size()) watch->seen[watch->seen_count++] = {deed, at};
  }
  errno = saved;
}

}  // namespace

DisciplineReport WatchWindows(const std::vector<const Gate*>& gates, const std::function<void()>& body) {
  DisciplineReport report;
  Watch mine;
  mine.gates = &gates;
  mine.report = &report;
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
  for (size_t i = 0; i < mine.seen_count; ++i) {
    char text[256];
    DescribeDeed(mine.seen[i].deed, mine.seen[i].at, text, sizeof text);
    report.violations.emplace_back(text);
  }
  return report;
}

}  // namespace lightning::pkeys
