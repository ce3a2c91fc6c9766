// What the kernel writes into a process's memory on other occasions than a system call of its own: at the start and end
// of threads, for signals, and for debuggers.
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/rseq.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstring>

#include "pkeys_tests/routes/arena.h"
#include "store/segment/segment_file.h"

namespace lightning::routes {
namespace {

// A task that shares this address space, for as long as `body` takes; it inherits the rights of this thread. It does
// nothing but system calls: it has no thread-local storage of its own.
int RunTask(int flags, int (*body)(void*), void* argument, void* parent_tid, void* child_tid) {
  alignas(64) static std::byte stack[64 * 1024];
  const pid_t task = clone(body, stack + sizeof stack, CLONE_VM | CLONE_FILES | SIGCHLD | flags, argument, parent_tid,
                           nullptr, child_tid);
  int status = 0;
  if (task < 0 || waitpid(task, &status, 0) != task) abort();
  return status;
}

bool EndedWell(int status) { return WIFEXITED(status) && WEXITSTATUS(status) == 0; }

// The task asks the kernel which word it would clear at its end.
void ClearChildTid(Arena& arena, std::byte* at) {
  constexpr int kUnknown = 2;
  arena.Poke(at, kStray);
  const auto body = [](void* word) {
    void* taken = nullptr;
    if (prctl(PR_GET_TID_ADDRESS, &taken, 0, 0, 0) != 0) return kUnknown;
    return taken == word ? 0 : 1;
  };
  const int status = RunTask(CLONE_CHILD_CLEARTID, body, at, nullptr, at);
  if (WIFEXITED(status) && WEXITSTATUS(status) == kUnknown)
    arena.Skip("the kernel does not tell which word it clears (CONFIG_CHECKPOINT_RESTORE)");
  arena.Taken(EndedWell(status));
  arena.HelperEnded(status);
}
int DoNothing(void*) { return 0; }
// Nobody tells where the kernel set these, so the same call with a word of this process shows that it does.
void SetChildTid(Arena& arena, std::byte* at) {
  pid_t word = 0;
  const bool sets = EndedWell(RunTask(CLONE_CHILD_SETTID, DoNothing, nullptr, nullptr, &word)) && word > 0;
  const int status = RunTask(CLONE_CHILD_SETTID, DoNothing, nullptr, nullptr, at);
  arena.Taken(sets && EndedWell(status));
  arena.HelperEnded(status);
}
void SetParentTid(Arena& arena, std::byte* at) {
  pid_t word = 0;
  const bool sets = EndedWell(RunTask(CLONE_PARENT_SETTID, DoNothing, nullptr, &word, nullptr)) && word > 0;
  const int status = RunTask(CLONE_PARENT_SETTID, DoNothing, nullptr, at, nullptr);
  arena.Taken(sets && EndedWell(status));
  arena.HelperEnded(status);
}

// An entry of a robust list: the futex word that names the dying task stands behind the pointer to the next entry.
struct RobustEntry {
  robust_list* next;
  uint32_t word;
};
struct Robust {
  Arena* arena;
  std::byte* word;
  robust_list_head head;
  RobustEntry own;
};
// At a task's death the kernel walks its list and marks each word "owner died": one of this process, which shows that
// it walks, and then one in the segment. The list ends there: what the segment has for a next entry is no address.
void RobustList(Arena& arena, std::byte* at) {
  static Robust robust;
  robust.arena = &arena;
  robust.word = at;
  robust.head.futex_offset = offsetof(RobustEntry, word);
  robust.head.list.next = reinterpret_cast<robust_list*>(&robust.own);
  robust.head.list_op_pending = nullptr;
  robust.own.next = reinterpret_cast<robust_list*>(at - offsetof(RobustEntry, word));
  const auto body = [](void* argument) {
    auto& mine = *static_cast<Robust*>(argument);
    const auto task = static_cast<uint32_t>(syscall(SYS_gettid));
    mine.own.word = task;
    mine.arena->Poke(mine.word, task);
    return syscall(SYS_set_robust_list, &mine.head, sizeof mine.head) == 0 ? 0 : 1;
  };
  const int status = RunTask(0, body, &robust, nullptr, nullptr);
  arena.Taken(EndedWell(status) && (robust.own.word & FUTEX_OWNER_DIED) != 0);
  arena.HelperEnded(status);
}
// The kernel writes the processor's number into the area whenever it returns to the task.
void RestartableSequence(Arena& arena, std::byte* at) {
  arena.Poke(at, ~uint64_t{0});  // the processor's number may be zero
  const auto body = [](void* area) {
    if (syscall(SYS_rseq, area, 32, 0, 0x53053053) != 0) return errno == EFAULT ? 14 : 2;
    sched_yield();
    return 0;
  };
  const int status = RunTask(0, body, at, nullptr, nullptr);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 2) arena.Skip("the kernel takes no rseq area here");
  if (WIFEXITED(status) && WEXITSTATUS(status) == 14) {
    errno = EFAULT;
    arena.Refused(-1);
  }
  arena.HelperEnded(status);
}

void Nothing(int) {}

// The stack pointer stands in the segment when a signal comes: the kernel puts its frame there.
void SignalFrame(Arena&, std::byte* at) {
  struct sigaction action = {};
  action.sa_handler = Nothing;
  sigaction(SIGUSR2, &action, nullptr);
  asm volatile(
      "movq %%rsp, %%rbx\n\t"
      "leaq 16384(%0), %%rsp\n\t"
      "syscall\n\t"
      "movq %%rbx, %%rsp"
      :
      : "r"(at), "a"(SYS_kill), "D"(getpid()), "S"(SIGUSR2)
      : "rbx", "rcx", "r11", "memory");
}
void AlternateStack(Arena&, std::byte* at) {
  const stack_t stack{at, 0, 16384};
  if (sigaltstack(&stack, nullptr) != 0) abort();
  struct sigaction action = {};
  action.sa_handler = Nothing;
  action.sa_flags = SA_ONSTACK;
  sigaction(SIGUSR2, &action, nullptr);
  raise(SIGUSR2);
}

void ProcessVmWritev(Arena& arena, std::byte* at) {
  static uint64_t from[2] = {kStray, kStray};
  const iovec local{from, sizeof from}, remote{at, sizeof from};
  arena.Refused(process_vm_writev(getpid(), &local, 1, &remote, 1, 0));
}
void ProcMem(Arena& arena, std::byte* at) {
  const ScopedFd memory(open("/proc/self/mem", O_RDWR | O_CLOEXEC));
  if (!memory.ok() && arena.extra() != Extra::kNone) return arena.Refused(-1);
  if (!memory.ok()) arena.Skip("/proc/self/mem may not be opened");
  arena.Refused(pwrite(memory.get(), &kStray, sizeof kStray, static_cast<off_t>(reinterpret_cast<uint64_t>(at))));
}
// A debugger's way: another process pokes.
constexpr int kNotAttached = 200;
void PtracePoke(Arena& arena, std::byte* at) {
  prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);  // where Yama asks for it; elsewhere it is an error, and no matter
  const pid_t parent = getpid();
  const pid_t debugger = fork();
  if (debugger == 0) {
    if (ptrace(PTRACE_ATTACH, parent, nullptr, nullptr) != 0) _exit(kNotAttached);
    waitpid(parent, nullptr, __WALL);
    errno = 0;
    ptrace(PTRACE_POKEDATA, parent, at, kStray);
    const int error = errno;
    ptrace(PTRACE_DETACH, parent, nullptr, nullptr);
    _exit(error);
  }
  int status = 0;
  while (waitpid(debugger, &status, 0) != debugger && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == kNotAttached) {
    if (arena.extra() == Extra::kNone) arena.Skip("this system forbids ptrace (kernel.yama.ptrace_scope, or a filter)");
    errno = EPERM;
    return arena.Refused(-1);
  }
  errno = WEXITSTATUS(status);
  arena.Refused(errno == 0 ? 0 : -1);
}

constexpr Act kActs[] = {
    {"clear_child_tid", Sign::kIgnored, ClearChildTid, 4},
    {"set_child_tid", Sign::kIgnored, SetChildTid, 4},
    {"set_parent_tid", Sign::kIgnored, SetParentTid, 4},
    {"robust_list", Sign::kIgnored, RobustList, 4},
    {"rseq", Sign::kTaskEnded, RestartableSequence, 32, 32, EFAULT},
    {"signal_frame", Sign::kKernelFault, SignalFrame, 16384, 4096, 0, nullptr, true},
    {"alternate_stack", Sign::kKilled, AlternateStack, 16384, 4096, 0, nullptr, true},
    {"process_vm_writev", Sign::kRefused, ProcessVmWritev, 16, 8, EFAULT},
    {"proc_self_mem", Sign::kRefused, ProcMem, 8, 8, EIO},
    {"ptrace_poke", Sign::kRefused, PtracePoke, 8, 8, EIO},
};

}  // namespace

std::span<const Act> KernelWrites() { return kActs; }

}  // namespace lightning::routes
