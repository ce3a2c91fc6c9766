// Watches each window of each thread, in one of two ways. Of each place in the code that opens windows the first ones
// of a process, and after those one in so many, are stepped through by the processor's trap flag, and every instruction
// is judged before it runs; a step costs more than a system call, so of a window the first instructions. All others are
// recorded (recorder.h), and so is what is left of a window that is stepped no further. With $LIGHTNING_WINDOW_EVERY
// all are stepped to their ends, with $LIGHTNING_WINDOW_UNSTEPPED none is: processes that a debugger steps need that.
// $LIGHTNING_WINDOW_COUNTS is a file of five words, shared by all processes: windows, those stepped, instructions in
// them, those of them that were not to their ends, and those recorded.
#include "store/segment/window_watch.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "store/gate/process_key.h"
#include "store/watch/deeds.h"
#include "store/watch/recorder.h"
#include "store/watch/report.h"
#include "store/watch/trap_flag.h"

namespace lightning {
namespace {

struct Counts {
  std::atomic<uint64_t> windows, stepped, instructions, cut, recorded, unseen;
};

uint64_t AddressOf(const char* function) { return reinterpret_cast<uint64_t>(dlsym(RTLD_DEFAULT, function)); }

// Whether somebody traces this process from its beginning.
bool HasTracer() {
  char text[4096];
  const int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const ssize_t size = read(fd, text, sizeof text - 1);
  close(fd);
  text[std::max<ssize_t>(size, 0)] = '\0';
  const char* const tracer = strstr(text, "TracerPid:");
  return tracer != nullptr && strtol(tracer + strlen("TracerPid:"), nullptr, 10) != 0;
}

struct Watch {
  DeedJudge judge;
  const uint64_t copy = AddressOf("memcpy"), move = AddressOf("memmove"), fill = AddressOf("memset");
  const bool keys = MachineHasKeys(), every = getenv("LIGHTNING_WINDOW_EVERY") != nullptr;
  const bool unstepped = getenv("LIGHTNING_WINDOW_UNSTEPPED") != nullptr || HasTracer();
  Counts own = {};
  Counts* counts = &own;
  std::array<std::atomic<uint32_t>, 4096> opened = {};  // by place; two that share a number share a count
};
Watch* watch = nullptr;
thread_local uint32_t depth __attribute__((tls_model("initial-exec"))) = 0;  // windows that are open
thread_local bool stepping __attribute__((tls_model("initial-exec"))) = false;
thread_local uint32_t steps __attribute__((tls_model("initial-exec"))) = 0;

constexpr uint32_t kFirstWindows = 20, kThenOneIn = 256;  // of a place
constexpr uint32_t kMostSteps = 5'000;                    // of a window
constexpr greg_t kTrapFlag = 0x100;

// Does at once what the C library's functions for bytes would do in many steps, and repeated string instructions in one
// for each byte. False where it is something else. In mode keys a handler has not the right to.
bool DoFunction(greg_t* registers) {
  const auto at = static_cast<uint64_t>(registers[REG_RIP]);
  if (watch->keys || (at != watch->copy && at != watch->move && at != watch->fill)) return false;
  auto* to = reinterpret_cast<std::byte*>(registers[REG_RDI]);
  const auto size = static_cast<uint64_t>(registers[REG_RDX]);
  if (at == watch->fill) {
    memset(to, static_cast<int>(registers[REG_RSI]), size);
  } else {
    memmove(to, reinterpret_cast<const std::byte*>(registers[REG_RSI]), size);
  }
  registers[REG_RAX] = registers[REG_RDI];
  registers[REG_RIP] = *reinterpret_cast<const greg_t*>(registers[REG_RSP]);
  registers[REG_RSP] += 8;
  return true;
}

bool DoRepeated(greg_t* registers) {
  auto* code = reinterpret_cast<const uint8_t*>(registers[REG_RIP]);
  const bool wide = code[0] == 0xF3 && code[1] == 0x48;
  const uint8_t operation = code[wide ? 2 : 1];
  constexpr uint8_t kMovsB = 0xA4, kMovsQ = 0xA5, kStosB = 0xAA;
  if (watch->keys || code[0] != 0xF3 || operation != (wide ? kMovsQ : operation == kStosB ? kStosB : kMovsB))
    return false;
  const auto size = static_cast<uint64_t>(registers[REG_RCX]) * (wide ? 8 : 1);
  auto* to = reinterpret_cast<std::byte*>(registers[REG_RDI]);
  if (operation == kStosB) {
    memset(to, static_cast<int>(registers[REG_RAX] & 0xFF), size);
  } else {
    memcpy(to, reinterpret_cast<const std::byte*>(registers[REG_RSI]), size);
    registers[REG_RSI] += static_cast<greg_t>(size);
  }
  registers[REG_RDI] += static_cast<greg_t>(size);
  registers[REG_RCX] = 0;
  registers[REG_RIP] += wide ? 3 : 2;
  return true;
}

void OnTrap(int, siginfo_t* info, void* context) {
  greg_t* registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  if (OnThunkTrap(*info, registers) || !stepping) return;  // the last step, on the way out
  const int saved = errno;
  do {
    watch->counts->instructions.fetch_add(1, std::memory_order_relaxed);
    const auto at = static_cast<uint64_t>(registers[REG_RIP]);
    const Deed deed = watch->judge.Judge(registers);
    if (IsViolation(deed)) {
      // In a thunk, and at the entry of a function, the stack pointer points to where it was called from.
      const auto caller = *reinterpret_cast<const uint64_t*>(registers[REG_RSP]);
      ReportDeed(deed, IsThunk(at) ? caller : at,
                 deed == Deed::kAllocation ? reinterpret_cast<const void*>(caller) : nullptr);
    }
  } while (DoFunction(registers) || DoRepeated(registers));
  if (++steps >= kMostSteps && !watch->every) {
    watch->counts->cut.fetch_add(1, std::memory_order_relaxed);
    registers[REG_EFL] &= ~kTrapFlag;
    stepping = false;
    RecordAfterwards(registers);
  }
  errno = saved;
}

void Start() {
  watch = new Watch;
  if (const char* path = getenv("LIGHTNING_WINDOW_COUNTS"); path != nullptr) {
    const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    void* place = fd >= 0 && ftruncate(fd, sizeof(Counts)) == 0
                      ? mmap(nullptr, sizeof(Counts), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
                      : MAP_FAILED;
    if (place != MAP_FAILED) watch->counts = static_cast<Counts*>(place);
    if (fd >= 0) close(fd);
  }
  struct sigaction action = {};
  action.sa_sigaction = OnTrap;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGTRAP, &action, nullptr);
  StartRecorder();
}

}  // namespace

void WindowOpens() {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, Start);
  watch->counts->windows.fetch_add(1, std::memory_order_relaxed);
  const auto place = reinterpret_cast<uint64_t>(__builtin_return_address(0));
  const uint32_t before = watch->opened[place % watch->opened.size()].fetch_add(1, std::memory_order_relaxed);
  const bool step = !watch->unstepped && (before < kFirstWindows || before % kThenOneIn == 0 || watch->every);
  if (depth == 0) SetRecordedStack(__builtin_dwarf_cfa());
  if (depth++ != 0) {  // inside another one, and watched as that is
    Counts& counts = *watch->counts;
    (stepping                   ? counts.stepped
     : lightning_recording != 0 ? counts.recorded
                                : counts.unseen)
        .fetch_add(1, std::memory_order_relaxed);
  } else if (step) {
    watch->counts->stepped.fetch_add(1, std::memory_order_relaxed);
    steps = 0;
    stepping = true;
    SetTrapFlag();
  } else {
    (BeginRecording() ? watch->counts->recorded : watch->counts->unseen).fetch_add(1, std::memory_order_relaxed);
  }
}

void WindowCloses() {
  if (depth == 0 || --depth != 0) return;
  if (stepping) ClearTrapFlag();
  stepping = false;
  EndRecording();
}

}  // namespace lightning
