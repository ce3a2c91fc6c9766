// Ways to leave a window without closing it, and to edit the rights behind the gate's back. After each, a store lands
// (that is the leak), and the next operation of the store must find out.
#include <cpuid.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>

#include <csetjmp>
#include <cstdlib>
#include <cstring>
#include <new>
#include <semaphore>
#include <thread>

#include "pkeys_tests/routes/arena.h"

namespace lightning::routes {
namespace {

using Deed = std::function<void()>;

// A window whose end never runs.
void Leak(Arena& arena) {
  alignas(Window) static std::byte room[sizeof(Window)];
  arena.Cover(*new (room) Window(arena.gate()));
}

// In a control the deed brings its rights along; the leak itself is the attack's.
void Longjmp(Arena& arena, const Deed& deed, bool control) {
  static jmp_buf out;
  if (!control && setjmp(out) == 0) {
    Leak(arena);
    longjmp(out, 1);
  }
  deed();
}

struct Coroutine {
  ucontext_t caller, own;
  Arena* arena;
  const Deed* deed;
};
Coroutine coroutine;
void Enter(Arena& arena, const Deed* deed, void (*body)()) {
  static std::byte stack[256 * 1024];
  coroutine.arena = &arena;
  coroutine.deed = deed;
  getcontext(&coroutine.own);
  coroutine.own.uc_stack = {stack, 0, sizeof stack};
  coroutine.own.uc_link = &coroutine.caller;
  makecontext(&coroutine.own, body, 0);
  swapcontext(&coroutine.caller, &coroutine.own);
}
// A coroutine that gives way inside a window.
void Swapcontext(Arena& arena, const Deed& deed, bool control) {
  if (!control) {
    Enter(arena, nullptr, [] {
      Leak(*coroutine.arena);
      swapcontext(&coroutine.own, &coroutine.caller);
    });
  }
  deed();
}
// A coroutine that is entered from inside a window.
void CoroutineFromWindow(Arena& arena, const Deed& deed, bool control) {
  if (!control) Leak(arena);
  Enter(arena, &deed, [] { (*coroutine.deed)(); });
}

const Deed* at_exit = nullptr;
void Exit(Arena& arena, const Deed& deed, bool control) {
  if (control) return deed();
  at_exit = &deed;
  atexit([] { (*at_exit)(); });
  Window window(arena.gate());
  arena.Cover(window);
  exit(0);
}

// A thread takes its rights from the one that starts it.
void ThreadBornInWindow(Arena& arena, const Deed& deed, bool control) {
  if (control) return deed();
  std::binary_semaphore go{0};
  std::optional<std::thread> thread;
  {
    Window window(arena.gate());
    arena.Cover(window);
    thread.emplace([&] {
      go.acquire();
      deed();
    });
  }
  go.release();
  thread->join();
}
const Deed* at_timer = nullptr;
std::binary_semaphore timer_done{0};
void TimerThreadBornInWindow(Arena& arena, const Deed& deed, bool control) {
  if (control) return deed();
  at_timer = &deed;
  timer_t timer;
  sigevent event{};
  event.sigev_notify = SIGEV_THREAD;
  event.sigev_notify_function = [](sigval) {
    // The C library starts such threads with every signal blocked, so that a fault would end the process at once.
    sigset_t faults;
    sigemptyset(&faults);
    sigaddset(&faults, SIGSEGV);
    pthread_sigmask(SIG_UNBLOCK, &faults, nullptr);
    (*at_timer)();
    timer_done.release();
  };
  {
    Window window(arena.gate());
    arena.Cover(window);
    if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0) abort();
  }
  const itimerspec soon{{0, 0}, {0, 1000}};
  timer_settime(timer, 0, &soon, nullptr);
  timer_done.acquire();
}

void StrayWrpkru(Arena& arena, const Deed& deed, bool control) {
  if (!control) arena.SetRights(0);
  deed();
}
void StrayWrpkruReadOnly(Arena& arena, const Deed& deed, bool control) {
  if (!control) arena.SetRights(2);
  deed();
}

// --- The rights in a saved signal frame.

// The offset of PKRU in an XSAVE area of the standard form, by CPUID leaf 13.
uint32_t PkruOffset() {
  uint32_t eax, ebx, ecx, edx;
  __cpuid_count(13, 9, eax, ebx, ecx, edx);
  return ebx;
}
const char* NoPkruInXsave() { return PkruOffset() != 0 ? nullptr : "the processor saves no PKRU"; }
void (*edit)(ucontext_t*, int key) = nullptr;
int edited_key = 0;
void Edit(Arena& arena, const Deed& deed, bool control, void (*how)(ucontext_t*, int)) {
  if (!control) {
    edit = how;
    edited_key = arena.key();
    struct sigaction action = {};
    action.sa_sigaction = [](int, siginfo_t*, void* context) { edit(static_cast<ucontext_t*>(context), edited_key); };
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGUSR1, &action, nullptr);
    raise(SIGUSR1);
  }
  deed();
}
void EditFrame(Arena& arena, const Deed& deed, bool control) {
  Edit(arena, deed, control, [](ucontext_t* context, int key) {
    auto* const saved = reinterpret_cast<std::byte*>(context->uc_mcontext.fpregs) + PkruOffset();
    uint32_t rights;
    memcpy(&rights, saved, sizeof rights);
    rights &= ~(3u << (2 * key));
    memcpy(saved, &rights, sizeof rights);
  });
}
void ClearStateBit(Arena& arena, const Deed& deed, bool control) {
  Edit(arena, deed, control, [](ucontext_t* context, int) {
    // The header's first word follows the legacy area of 512 bytes. Without its bit, PKRU is restored to zero: all
    // open.
    auto* const present = reinterpret_cast<uint64_t*>(reinterpret_cast<std::byte*>(context->uc_mcontext.fpregs) + 512);
    *present &= ~(uint64_t{1} << 9);
  });
}
void Xrstor(Arena&, const Deed& deed, bool control) {
  if (!control) {
    alignas(64) static std::byte area[4096] = {};  // an empty header: PKRU takes its initial value, zero
    asm volatile("xrstor64 (%0)" ::"r"(area), "a"(1 << 9), "d"(0) : "memory");
  }
  deed();
}
// The key goes back to the kernel, and comes again open.
void KeyAllocatedAgain(Arena& arena, const Deed& deed, bool control) {
  if (!control) {
    const bool freed = pkey_free(arena.key()) == 0;
    if (!freed) arena.Refused(-1);
    if (freed && pkey_alloc(0, 0) != arena.key()) abort();
  }
  deed();
}
// An operation from a handler that interrupted a window; also one that then left the handler by siglongjmp.
void OperationInHandlerInWindow(Arena& arena, const Deed& deed, bool control) {
  if (control) return deed();
  static const Deed* inner;
  inner = &deed;
  signal(SIGUSR1, [](int) { (*inner)(); });
  Window window(arena.gate());
  raise(SIGUSR1);
}
void LongjmpOutOfHandlerInWindow(Arena& arena, const Deed& deed, bool control) {
  static sigjmp_buf out;
  if (!control && sigsetjmp(out, 1) == 0) {
    signal(SIGUSR1, [](int) { siglongjmp(out, 1); });
    Leak(arena);
    raise(SIGUSR1);
  }
  deed();
}

// A put of bytes that cannot be read, in a program whose handler of SIGSEGV leaves by longjmp: a whole operation is
// left half done, in the midst of its window.
void LongjmpOutOfOperation(Arena& arena, const Deed& deed, bool control) {
  if (!control) {
    void* const place = mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (!Guarded([&] { arena.Put(Bytes(static_cast<const std::byte*>(place), 64)); }).happened) abort();
  }
  deed();
}

constexpr Context kContexts[] = {
    {"after_longjmp_out_of_operation", LongjmpOutOfOperation},
    {"after_longjmp_out_of_window", Longjmp},
    {"after_swapcontext_out_of_window", Swapcontext},
    {"coroutine_entered_in_window", CoroutineFromWindow},
    {"exit_in_window", Exit},
    {"thread_born_in_window", ThreadBornInWindow},
    {"timer_thread_born_in_window", TimerThreadBornInWindow},
    {"after_stray_wrpkru", StrayWrpkru},
    {"after_wrpkru_to_read_only", StrayWrpkruReadOnly},
    {"after_edited_signal_frame", EditFrame, NoPkruInXsave},
    {"after_cleared_state_bit", ClearStateBit, NoPkruInXsave},
    {"after_xrstor", Xrstor, NoPkruInXsave},
    {"after_key_allocated_again", KeyAllocatedAgain},
    {"operation_in_handler_in_window", OperationInHandlerInWindow},
    {"after_longjmp_out_of_handler_in_window", LongjmpOutOfHandlerInWindow},
};

}  // namespace

std::span<const Context> Leaks() { return kContexts; }

}  // namespace lightning::routes
