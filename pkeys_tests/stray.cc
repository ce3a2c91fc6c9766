#include "pkeys_tests/stray.h"

#include <ucontext.h>

#include <csignal>

#include "store/gate/pkru.h"

namespace lightning::pkeys {
namespace {

// Where a thread goes on after its stray access, and what it met. Thread-local, for the threads of a test.
thread_local volatile uint64_t resume_at = 0;
thread_local Fault last;
struct sigaction before;

void OnFault(int signal, siginfo_t* info, void* context) {
  auto& registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  if (resume_at == 0) {
    sigaction(signal, &before, nullptr);
    return;
  }
  last = {true, info->si_code, reinterpret_cast<uint64_t>(info->si_addr),
          info->si_code == SEGV_PKUERR ? static_cast<int>(info->si_pkey) : -1};
  registers[REG_RIP] = static_cast<greg_t>(resume_at);
}

// The instruction, with the place behind it written down first. rbx holds the stack pointer meanwhile, for the push.
#define LIGHTNING_STRAY(instruction)        \
  asm volatile(                             \
      "leaq 1f(%%rip), %%rax\n\t"           \
      "movq %%rax, %[resume]\n\t"           \
      "movq %%rsp, %%rbx\n\t"               \
      "xorl %%eax, %%eax\n\t"               \
      "movl $16, %%ecx\n\t"                 \
      "movq $0x5A5A5A5A5A5A5A5A, %%rdx\n\t" \
      "movq %%rdx, %%xmm0\n\t"              \
      "punpcklqdq %%xmm0, %%xmm0\n\t"       \
      "movq %[at], %%rdi\n\t" instruction   \
      "\n1:\n\t"                            \
      "movq %%rbx, %%rsp"                   \
      : [resume] "=m"(*resume)              \
      : [at] "r"(at)                        \
      : "rax", "rbx", "rcx", "rdx", "rdi", "xmm0", "memory", "cc")

__attribute__((noinline)) void Execute(Access access, const void* at, volatile uint64_t* resume) {
  switch (access) {
    case Access::kMov:
      LIGHTNING_STRAY("movq %%rdx, (%%rdi)");
      break;
    case Access::kByte:
      LIGHTNING_STRAY("movb %%dl, (%%rdi)");
      break;
    case Access::kXchg:
      LIGHTNING_STRAY("xchgq %%rdx, (%%rdi)");
      break;
    case Access::kLockAdd:
      LIGHTNING_STRAY("lock addq %%rdx, (%%rdi)");
      break;
    case Access::kCompareExchange:
      LIGHTNING_STRAY("lock cmpxchgq %%rdx, (%%rdi)");
      break;
    case Access::kRepStos:
      LIGHTNING_STRAY("movl %%edx, %%eax\n\trep stosb");
      break;
    case Access::kSse:
      LIGHTNING_STRAY("movdqu %%xmm0, (%%rdi)");
      break;
    case Access::kNonTemporal:
      LIGHTNING_STRAY("movntiq %%rdx, (%%rdi)");
      break;
    // No signal may be delivered here: it would be with the stack pointer astray. Only the fault's own frame is, on the
    // alternate stack that FaultCatcher gives.
    case Access::kPush:
      LIGHTNING_STRAY("leaq 8(%%rdi), %%rsp\n\tpushq %%rdx");
      break;
    case Access::kLoad:
      LIGHTNING_STRAY("movq (%%rdi), %%rdx");
      break;
  }
}
#undef LIGHTNING_STRAY

alignas(64) std::byte signal_stack[64 * 1024];

}  // namespace

const char* Name(Access access) {
  switch (access) {
    case Access::kMov:
      return "Mov";
    case Access::kByte:
      return "Byte";
    case Access::kXchg:
      return "Xchg";
    case Access::kLockAdd:
      return "LockAdd";
    case Access::kCompareExchange:
      return "CompareExchange";
    case Access::kRepStos:
      return "RepStos";
    case Access::kSse:
      return "Sse";
    case Access::kNonTemporal:
      return "NonTemporal";
    case Access::kPush:
      return "Push";
    case Access::kLoad:
      return "Load";
  }
  return "?";
}

FaultCatcher::FaultCatcher() {
  // For the thread that makes the catcher; others do without kPush.
  const stack_t stack{signal_stack, 0, sizeof signal_stack};
  sigaltstack(&stack, nullptr);
  struct sigaction action = {};
  action.sa_sigaction = OnFault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  sigaction(SIGSEGV, &action, &before);
}

FaultCatcher::~FaultCatcher() {
  sigaction(SIGSEGV, &before, nullptr);
  const stack_t none{nullptr, SS_DISABLE, 0};
  sigaltstack(&none, nullptr);
}

Fault Try(Access access, const void* at) {
  last = Fault();
  Execute(access, at, &resume_at);
  resume_at = 0;
  return last;
}

uint32_t RightsOf(int key) { return pkru::Read() >> (2 * key) & 3; }

void SetRightsOf(int key, uint32_t rights) {
  const uint32_t value = (pkru::Read() & ~pkru::Mask(key)) | rights << (2 * key);
  asm volatile("wrpkru" : : "a"(value), "c"(0), "d"(0) : "memory");
}

}  // namespace lightning::pkeys
