// Who makes the write, and when: threads, signal handlers, coroutines, children.
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>

#include <cerrno>
#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <semaphore>
#include <stdexcept>
#include <string>
#include <thread>

#include "pkeys_tests/routes/arena.h"

namespace lightning::routes {
namespace {

using Deed = std::function<void()>;

void MainThread(Arena&, const Deed& deed, bool) { deed(); }
void OlderThread(Arena& arena, const Deed& deed, bool) { arena.OnOlderThread(deed); }
void NewThread(Arena&, const Deed& deed, bool) { std::thread(deed).join(); }

void ThreadDuringWindow(Arena& arena, const Deed& deed, bool control) {
  std::binary_semaphore go{0};
  std::thread other([&] {
    go.acquire();
    deed();
  });
  {
    // Without the target's pages: those are a row of their own. In a control the deed opens a window itself.
    std::optional<Window> window;
    if (!control) window.emplace(arena.gate());
    go.release();
    other.join();
  }
}
void ThreadDuringWindowOnIt(Arena& arena, const Deed& deed, bool) {
  std::binary_semaphore go{0};
  std::thread other([&] {
    go.acquire();
    deed();
  });
  Window window(arena.gate());
  arena.Cover(window);
  go.release();
  other.join();
}

// --- Signal handlers.

const Deed* handled = nullptr;
void OnSignal(int) { (*handled)(); }
void Raise(const Deed& deed, int flags) {
  handled = &deed;
  struct sigaction action = {};
  action.sa_handler = OnSignal;
  action.sa_flags = flags;
  sigaction(SIGUSR1, &action, nullptr);
  raise(SIGUSR1);
}
void Handler(Arena&, const Deed& deed, bool) { Raise(deed, 0); }
void HandlerOnAltStack(Arena&, const Deed& deed, bool) { Raise(deed, SA_ONSTACK); }
void HandlerInWindow(Arena& arena, const Deed& deed, bool control) {
  if (control && arena.mode() != Isolation::kKeys) return deed();
  Window window(arena.gate());
  Raise(deed, 0);
}
void HandlerInWindowOnIt(Arena& arena, const Deed& deed, bool control) {
  if (control && arena.mode() != Isolation::kKeys) return deed();
  Window window(arena.gate());
  arena.Cover(window);
  Raise(deed, 0);
}
void HandlerInWindowOnAltStack(Arena& arena, const Deed& deed, bool control) {
  if (control && arena.mode() != Isolation::kKeys) return deed();
  Window window(arena.gate());
  Raise(deed, SA_ONSTACK);
}
void HandlerOfHandler(Arena&, const Deed& deed, bool) {
  static const Deed* inner;
  inner = &deed;
  signal(SIGUSR2, [](int) { (*inner)(); });
  const Deed outer = [] { raise(SIGUSR2); };
  Raise(outer, 0);
}
void HandlerOfNewThread(Arena&, const Deed& deed, bool) {
  std::thread([&] { Raise(deed, 0); }).join();
}
void AfterHandler(Arena&, const Deed& deed, bool) {
  const Deed nothing = [] {};
  Raise(nothing, 0);
  deed();
}
// Leaves the handler by siglongjmp: the kernel never puts the rights back, and what stays is what handlers have.
void AfterLongjmpOutOfHandler(Arena&, const Deed& deed, bool) {
  static sigjmp_buf out;
  if (sigsetjmp(out, 1) == 0) {
    const Deed leave = [] { siglongjmp(out, 1); };
    Raise(leave, 0);
  }
  deed();
}
// A handler's own WRPKRU is undone when it returns.
void AfterHandlerThatOpened(Arena& arena, const Deed& deed, bool) {
  const Deed open = [&] { arena.SetRights(0); };
  Raise(open, 0);
  deed();
}

// --- Control flow.

struct Coroutine {
  ucontext_t caller, own;
  const Deed* deed;
};
Coroutine coroutine;
void RunCoroutine(const Deed& deed) {
  static std::byte stack[256 * 1024];
  coroutine.deed = &deed;
  getcontext(&coroutine.own);
  coroutine.own.uc_stack = {stack, 0, sizeof stack};
  coroutine.own.uc_link = &coroutine.caller;
  makecontext(
      &coroutine.own, [] { (*coroutine.deed)(); }, 0);
  swapcontext(&coroutine.caller, &coroutine.own);
}
void InCoroutine(Arena&, const Deed& deed, bool) { RunCoroutine(deed); }

void AfterWindow(Arena& arena, const Deed& deed, bool) {
  {
    Window window(arena.gate());
    arena.Cover(window);
  }
  deed();
}
void AfterException(Arena& arena, const Deed& deed, bool) {
  try {
    Window window(arena.gate());
    arena.Cover(window);
    throw std::runtime_error("out of a window");
  } catch (const std::runtime_error&) {
  }
  deed();
}
bool ReturnEarly(Arena& arena) {
  Window window(arena.gate());
  arena.Cover(window);
  return window.gate().mode() != Isolation::kAuto;
}
void AfterEarlyReturn(Arena& arena, const Deed& deed, bool) {
  if (ReturnEarly(arena)) deed();
}
void DuringSuspend(Arena& arena, const Deed& deed, bool control) {
  if (control) return deed();
  Window window(arena.gate());
  arena.Cover(window);
  window.Suspend();
  deed();
}
void AfterOperation(Arena& arena, const Deed& deed, bool) {
  arena.Use(true);
  deed();
}
void AfterFailedOperation(Arena& arena, const Deed& deed, bool) {
  arena.Use(false);
  deed();
}

// --- The end of a thread.

pthread_key_t at_thread_end;
void MakeThreadEnd() {
  pthread_key_create(&at_thread_end, [](void* deed) { (*static_cast<const Deed*>(deed))(); });
}
// The deed runs among the thread's destructors.
void ThreadExitInWindow(Arena& arena, const Deed& deed, bool) {
  MakeThreadEnd();
  std::thread([&] {
    pthread_setspecific(at_thread_end, &deed);
    Window window(arena.gate());
    arena.Cover(window);
    pthread_exit(nullptr);  // unwinds
  }).join();
}
void CancelledInWindow(Arena& arena, const Deed& deed, bool) {
  MakeThreadEnd();
  std::thread([&] {
    pthread_setspecific(at_thread_end, &deed);
    pthread_cancel(pthread_self());
    Window window(arena.gate());
    arena.Cover(window);
    pthread_testcancel();  // unwinds
  }).join();
}
void CancelledAsynchronously(Arena& arena, const Deed& deed, bool) {
  MakeThreadEnd();
  std::thread([&] {
    pthread_setspecific(at_thread_end, &deed);
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, nullptr);
    Window window(arena.gate());
    arena.Cover(window);
    pthread_cancel(pthread_self());
    for (;;) asm volatile("pause");
  }).join();
}

constexpr Context kContexts[] = {
    {"main_thread", MainThread},
    {"older_thread", OlderThread, nullptr, false, true},
    {"new_thread", NewThread},
    {"thread_during_window", ThreadDuringWindow},
    {"thread_during_window_on_it", ThreadDuringWindowOnIt, nullptr, true},
    {"handler", Handler},
    {"handler_on_altstack", HandlerOnAltStack},
    {"handler_in_window", HandlerInWindow},
    {"handler_in_window_on_it", HandlerInWindowOnIt},
    {"handler_in_window_on_altstack", HandlerInWindowOnAltStack},
    {"handler_of_handler", HandlerOfHandler},
    {"handler_of_new_thread", HandlerOfNewThread},
    {"after_handler", AfterHandler},
    {"after_longjmp_out_of_handler", AfterLongjmpOutOfHandler},
    {"after_handler_that_opened", AfterHandlerThatOpened},
    {"coroutine", InCoroutine},
    {"after_window", AfterWindow},
    {"after_exception", AfterException},
    {"after_early_return", AfterEarlyReturn},
    {"during_suspend", DuringSuspend},
    {"after_operation", AfterOperation},
    {"after_failed_operation", AfterFailedOperation},
    {"thread_exit_in_window", ThreadExitInWindow, nullptr, true},
    {"cancelled_in_window", CancelledInWindow, nullptr, true},
    {"cancelled_asynchronously_in_window", CancelledAsynchronously, nullptr, true},
};

}  // namespace

std::span<const Context> Contexts() { return kContexts; }

}  // namespace lightning::routes
