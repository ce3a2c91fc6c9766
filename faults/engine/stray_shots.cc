#include "faults/engine/stray_shots.h"

#include <ucontext.h>
#include <unistd.h>

#include <csignal>

namespace lightning::faults {
namespace {

// A store instruction whose address is known, so that the handler knows a stray store from any other fault, and steps
// over it. The rights of this thread to protection keys come back with the signal frame.
extern "C" {
extern const char lightning_stray_word[], lightning_stray_byte[], lightning_stray_exchange[];
extern const char lightning_stray_word_end[], lightning_stray_byte_end[], lightning_stray_exchange_end[];
}
thread_local volatile sig_atomic_t faulted __attribute__((tls_model("initial-exec")));

void StepOver(int, siginfo_t*, void* context) {
  auto* registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  const auto at = reinterpret_cast<const char*>(registers[REG_RIP]);
  const char* to = at == lightning_stray_word       ? lightning_stray_word_end
                   : at == lightning_stray_byte     ? lightning_stray_byte_end
                   : at == lightning_stray_exchange ? lightning_stray_exchange_end
                                                    : nullptr;
  if (to == nullptr) _exit(kOtherFault);
  registers[REG_RIP] = reinterpret_cast<greg_t>(to);
  faulted = 1;
}

}  // namespace

void CatchStrayFaults() {
  struct sigaction action = {};
  action.sa_sigaction = StepOver;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGSEGV, &action, nullptr);
  sigaction(SIGBUS, &action, nullptr);
}

__attribute__((noinline)) bool Fire(ShotKind kind, std::byte* at, uint64_t value) noexcept {
  faulted = 0;
  switch (kind) {
    case ShotKind::kWord:
      asm volatile(
          ".globl lightning_stray_word, lightning_stray_word_end\n"
          "lightning_stray_word: movq %1, (%0)\n"
          "lightning_stray_word_end:"
          :
          : "r"(at), "r"(value)
          : "memory");
      break;
    case ShotKind::kByte:
      asm volatile(
          ".globl lightning_stray_byte, lightning_stray_byte_end\n"
          "lightning_stray_byte: movb %b1, (%0)\n"
          "lightning_stray_byte_end:"
          :
          : "r"(at), "q"(value)
          : "memory");
      break;
    case ShotKind::kExchange:
      asm volatile(
          ".globl lightning_stray_exchange, lightning_stray_exchange_end\n"
          "lightning_stray_exchange: xchgq %1, (%0)\n"
          "lightning_stray_exchange_end:"
          : "+r"(at), "+r"(value)
          :
          : "memory");
      break;
  }
  return faulted != 0;
}

}  // namespace lightning::faults
