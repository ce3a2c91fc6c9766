#include "pkeys_tests/routes/guard.h"

#include <signal.h>
#include <ucontext.h>

#include <csetjmp>

#include "store/segment/address_sanitizer.h"

namespace lightning::routes {
namespace {

struct Frame {
  sigjmp_buf out;
  uint64_t stack = 0;
  Fault fault;
  Frame* below = nullptr;
};
thread_local Frame* volatile innermost = nullptr;

[[noreturn]] void Leave() { siglongjmp(innermost->out, 1); }

// The frames that are left never say so themselves, and Leave runs where they were.
void UnpoisonLeftFrames(uint64_t from, uint64_t to) {
  constexpr uint64_t kMost = 1 << 20;  // further away is another stack
  if (from < to && to - from < kMost) ASAN_UNPOISON_MEMORY_REGION(reinterpret_cast<void*>(from), to - from);
}

void OnFault(int signal, siginfo_t* info, void* context) {
  Frame* const frame = innermost;
  if (frame == nullptr) {
    ::signal(signal, SIG_DFL);
    return;
  }
  frame->fault = {true, signal, info->si_code,
                  signal == SIGSEGV && info->si_code == SEGV_PKUERR ? static_cast<int>(info->si_pkey) : -1,
                  reinterpret_cast<uint64_t>(info->si_addr)};
  auto& registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  UnpoisonLeftFrames(static_cast<uint64_t>(registers[REG_RSP]), frame->stack);
  registers[REG_RIP] = static_cast<greg_t>(reinterpret_cast<uint64_t>(&Leave));
  // As at a function's entry, below the red zone of Guarded.
  registers[REG_RSP] = static_cast<greg_t>(((frame->stack - 1024) & ~uint64_t{15}) - 8);
  registers[REG_EFL] &= ~greg_t{0x400};  // a string store backwards leaves the direction flag set
}

alignas(64) std::byte stack_of_handlers[256 * 1024];

}  // namespace

void CatchFaults() {
  const stack_t stack{stack_of_handlers, 0, sizeof stack_of_handlers};
  sigaltstack(&stack, nullptr);
  struct sigaction action = {};
  action.sa_sigaction = OnFault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigaction(SIGSEGV, &action, nullptr);
  sigaction(SIGBUS, &action, nullptr);
}

__attribute__((noinline)) Fault Guarded(const std::function<void()>& body) {
  Frame frame;
  frame.stack = reinterpret_cast<uint64_t>(__builtin_frame_address(0)) - sizeof(Frame);
  frame.below = innermost;
  if (sigsetjmp(frame.out, 0) == 0) {
    innermost = &frame;
    body();
  }
  innermost = frame.below;
  return frame.fault;
}

}  // namespace lightning::routes
