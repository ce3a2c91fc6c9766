#include "store/watch/recorder.h"

#include <signal.h>
#include <sys/syscall.h>
#include <unwind.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>

#include "store/gate/system_call.h"
#include "store/watch/report.h"

// The thunks: where nothing is recorded they go where they should, else the trap tells first. A call may change r11 and
// the flags, so they may; what is called by r11 gets another one.
#define LIGHTNING_THUNK(target, scratch, save, restore)                                                          \
  ".globl __x86_indirect_thunk_" target "\n.hidden __x86_indirect_thunk_" target                                 \
  "\n.type __x86_indirect_thunk_" target                                                                         \
  ", @function\n"                                                                                                \
  "__x86_indirect_thunk_" target ":\n.cfi_startproc\n" save "movq lightning_recording@gottpoff(%rip), %" scratch \
  "\n"                                                                                                           \
  "cmpl $0, %fs:(%" scratch ")\n" restore "je 1f\nint3\n1: jmp *%" target "\n.cfi_endproc\n"
#define LIGHTNING_THUNK_OF(target) LIGHTNING_THUNK(target, "r11", "", "")
asm(".pushsection .text\n.globl lightning_thunks\n.hidden lightning_thunks\nlightning_thunks:\n"  //
    LIGHTNING_THUNK_OF("rax") LIGHTNING_THUNK_OF("rbx") LIGHTNING_THUNK_OF("rcx") LIGHTNING_THUNK_OF("rdx")
        LIGHTNING_THUNK_OF("rsi") LIGHTNING_THUNK_OF("rdi") LIGHTNING_THUNK_OF("rbp") LIGHTNING_THUNK_OF("r8")
            LIGHTNING_THUNK_OF("r9") LIGHTNING_THUNK_OF("r10") LIGHTNING_THUNK_OF("r12") LIGHTNING_THUNK_OF("r13")
                LIGHTNING_THUNK_OF("r14") LIGHTNING_THUNK_OF("r15")
                    LIGHTNING_THUNK("r11", "r10", "pushq %r10\n", "popq %r10\n")
    ".globl lightning_thunks_end\n.hidden lightning_thunks_end\nlightning_thunks_end:\n"
    // Where interrupted code goes on through, below its red zone: lightning_record_again changes no register but those
    // saved here, and says where to. Where that is kept until then may not be the stack, on which the kernel's own frame
    // lies right below the red zone.
    ".globl lightning_go_on_recording\n.hidden lightning_go_on_recording\n"
    ".type lightning_go_on_recording, @function\nlightning_go_on_recording:\nleaq -136(%rsp), %rsp\n"
    "pushfq\npushq %rax\npushq %rcx\npushq %rdx\npushq %rsi\npushq %rdi\npushq %r8\npushq %r9\npushq %r10\npushq %r11\n"
    "pushq %rbp\nmovq %rsp, %rbp\nandq $-16, %rsp\ncld\ncall lightning_record_again\nmovq %rbp, %rsp\n"
    "movq %rax, 88(%rsp)\npopq %rbp\n"
    "popq %r11\npopq %r10\npopq %r9\npopq %r8\npopq %rdi\npopq %rsi\npopq %rdx\npopq %rcx\npopq %rax\npopfq\n"
    "ret $128\n"
    ".popsection");

extern "C" {
extern const char lightning_thunks[], lightning_thunks_end[], lightning_go_on_recording[];
__attribute__((visibility("hidden"), used, target("general-regs-only"))) uint64_t lightning_record_again();
}

namespace lightning {

thread_local int lightning_recording __attribute__((tls_model("initial-exec"))) = 0;

namespace {

// Linux: Documentation/admin-guide/syscall-user-dispatch.rst. Not in the headers of all systems that this is built on.
constexpr uint64_t kSetDispatch = 59, kDispatchOn = 1;
constexpr int kDispatched = 2;  // si_code
constexpr char kAllow = 0, kBlock = 1;
constexpr uint64_t kSystemCallSize = 2;

thread_local volatile char selector __attribute__((tls_model("initial-exec"))) = kAllow;
thread_local uint64_t recorded_stack __attribute__((tls_model("initial-exec"))) = 0;
thread_local uint64_t interrupted_at __attribute__((tls_model("initial-exec"))) = 0;

// A handler that runs on top of the code that is recorded, and whose deeds are not that code's.
struct HandlerSearch {
  int own;  // handlers of this file that run on top of that
  uint64_t last = 0;
  ucontext_t* found = nullptr;  // what it returns to; of several the outermost one, which ran first
};

// Where a signal interrupted code, the frame before is that of the signal, and its stack pointer points to what is
// saved. It lies below the stack of the code that is recorded, unless that is itself a handler's.
_Unwind_Reason_Code LookAtFrame(_Unwind_Context* frame, void* data) {
  auto& search = *static_cast<HandlerSearch*>(data);
  int interrupted = 0;
  _Unwind_GetIPInfo(frame, &interrupted);
  if (interrupted != 0 && search.own-- <= 0) {
    if (search.last > recorded_stack) return _URC_END_OF_STACK;
    search.found = reinterpret_cast<ucontext_t*>(search.last);
  }
  search.last = _Unwind_GetCFA(frame);
  return _URC_NO_REASON;
}

// After a deed, with recording ended: reports it, unless a handler did it. Then the code below goes on being recorded.
void Judge(Deed deed, uint64_t at, const void* caller, int own_handlers) {
  HandlerSearch search{own_handlers};
  _Unwind_Backtrace(LookAtFrame, &search);
  if (search.found == nullptr) return ReportDeed(deed, at, caller);
  RecordAfterwards(search.found->uc_mcontext.gregs);
}

// Neither errno nor a register beyond the general ones is touched.
__attribute__((target("general-regs-only"), always_inline)) inline bool Begin() {
  // Of each thread by itself, and a child has none; one call more a window is nothing here. The gate's own one is
  // exempt.
  const auto gate = reinterpret_cast<uint64_t>(&lightning_gate_called);
  register uint64_t size asm("r10") = kSystemCallSize;
  register volatile char* byte asm("r8") = &selector;
  long result;
  asm volatile("syscall"
               : "=a"(result)
               : "0"(SYS_prctl), "D"(kSetDispatch), "S"(kDispatchOn), "d"(gate), "r"(size), "r"(byte)
               : "rcx", "r11", "memory");
  lightning_recording = 1;
  if (result == 0) selector = kBlock;
  return result == 0;
}

// What the kernel did not let through: reports it and lets it.
void OnSystemCall(int, siginfo_t* info, void* context) {
  selector = kAllow;
  const int recording = lightning_recording;
  lightning_recording = 0;
  const int saved = errno;
  greg_t* const registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  if (info->si_code != kDispatched) {  // somebody's filter: as if this handler were not there
    signal(SIGSYS, SIG_DFL);
    raise(SIGSYS);
    return;
  }
  registers[REG_RIP] -= kSystemCallSize;
  registers[REG_RAX] = info->si_syscall;
  if (info->si_syscall == SYS_rt_sigreturn) {
    // A handler that interrupted the window comes back. Its frame is what the stack pointer points to.
    if (recording != 0) RecordAfterwards(reinterpret_cast<ucontext_t*>(registers[REG_RSP])->uc_mcontext.gregs);
  } else {
    Judge(Deed::kSystemCall, static_cast<uint64_t>(registers[REG_RIP]), nullptr, 1);
  }
  errno = saved;
}

}  // namespace

void StartRecorder() {
  struct sigaction action = {};
  action.sa_sigaction = OnSystemCall;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGSYS, &action, nullptr);
}

void SetRecordedStack(const void* stack) { recorded_stack = reinterpret_cast<uint64_t>(stack); }

bool BeginRecording() { return Begin(); }

void EndRecording() {
  selector = kAllow;
  lightning_recording = 0;
}

void RecordAfterwards(greg_t* registers) {
  // One place is enough: from here to there nothing is recorded, so that nobody else comes here.
  interrupted_at = static_cast<uint64_t>(registers[REG_RIP]);
  registers[REG_RIP] = reinterpret_cast<greg_t>(&lightning_go_on_recording);
}

bool IsThunk(uint64_t at) {
  return at >= reinterpret_cast<uint64_t>(&lightning_thunks) && at < reinterpret_cast<uint64_t>(&lightning_thunks_end);
}

bool OnThunkTrap(const siginfo_t& info, const greg_t* registers) {
  if (info.si_code != SI_KERNEL || !IsThunk(static_cast<uint64_t>(registers[REG_RIP]))) return false;
  EndRecording();
  const int saved = errno;
  Judge(Deed::kPointerCall, *reinterpret_cast<const uint64_t*>(registers[REG_RSP]), nullptr, 1);
  errno = saved;
  return true;
}

void CalledForbidden(const void* function, const void* caller) {
  EndRecording();
  const int saved = errno;
  Judge(Deed::kAllocation, reinterpret_cast<uint64_t>(function), caller, 0);
  errno = saved;
}

}  // namespace lightning

uint64_t lightning_record_again() {
  const uint64_t at = lightning::interrupted_at;
  lightning::Begin();
  return at;
}
