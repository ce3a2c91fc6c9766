// Steps each thread through its windows by the processor's trap flag and judges every instruction before it runs. What
// may not be there is written to $LIGHTNING_WINDOW_REPORTS.PID, or without that variable to stderr, where it ends the
// process. A step costs more than a system call, so of each place in the code that opens windows the first ones of a
// process are watched, and after those one in so many; of each window the first instructions. With
// $LIGHTNING_WINDOW_EVERY all are, to their ends. $LIGHTNING_WINDOW_COUNTS is a file of four words, shared by all
// processes: windows, those watched, instructions in them, and windows whose ends were not.
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
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "store/gate/process_key.h"
#include "store/watch/deeds.h"
#include "store/watch/trap_flag.h"

namespace lightning {
namespace {

struct Counts {
  std::atomic<uint64_t> windows, watched, instructions, cut;
};

uint64_t AddressOf(const char* function) { return reinterpret_cast<uint64_t>(dlsym(RTLD_DEFAULT, function)); }

struct Watch {
  DeedJudge judge;
  const uint64_t copy = AddressOf("memcpy"), move = AddressOf("memmove"), fill = AddressOf("memset");
  const char* reports = getenv("LIGHTNING_WINDOW_REPORTS");
  const bool keys = MachineHasKeys(), every = getenv("LIGHTNING_WINDOW_EVERY") != nullptr;
  Counts own = {};
  Counts* counts = &own;
  std::atomic<int> reported = 0;
  std::array<std::atomic<uint32_t>, 4096> opened = {};  // by place; two that share a number share a count
};
Watch* watch = nullptr;
thread_local uint32_t depth __attribute__((tls_model("initial-exec"))) = 0;
thread_local uint32_t steps __attribute__((tls_model("initial-exec"))) = 0;

constexpr uint32_t kFirstWindows = 50, kThenOneIn = 64;  // of a place
constexpr uint32_t kMostSteps = 20'000;                  // of a window
constexpr int kMostReports = 16;                         // of a process
constexpr greg_t kTrapFlag = 0x100;

void Report(Deed deed, uint64_t at, const greg_t* registers) {
  if (watch->reported.fetch_add(1) >= kMostReports) return;
  char text[1024] = "ERROR: inside a window: ";
  size_t size = strlen(text);
  const int more = DescribeDeed(deed, at, text + size, sizeof text - size - 1);
  size = std::min(size + static_cast<size_t>(std::max(more, 0)), sizeof text - 2);
  Dl_info info = {};
  const auto* caller = *reinterpret_cast<void* const*>(registers[REG_RSP]);  // at the entry of a function
  if (deed == Deed::kAllocation && dladdr(caller, &info) != 0) {
    const int from = snprintf(text + size, sizeof text - size - 1, ", called from %s+0x%lx", info.dli_fname,
                              static_cast<unsigned long>(static_cast<const std::byte*>(caller) -
                                                         static_cast<const std::byte*>(info.dli_fbase)));
    size = std::min(size + static_cast<size_t>(std::max(from, 0)), sizeof text - 2);
  }
  text[size++] = '\n';
  int fd = STDERR_FILENO;
  if (watch->reports != nullptr) {
    char path[512];
    snprintf(path, sizeof path, "%s.%d", watch->reports, static_cast<int>(getpid()));
    fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  }
  if (write(fd, text, size) < 0 || watch->reports == nullptr) abort();  // never without a word
  close(fd);
}

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

void OnTrap(int, siginfo_t*, void* context) {
  if (depth == 0) return;  // the last one, on the way out
  const int saved = errno;
  greg_t* registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  do {
    watch->counts->instructions.fetch_add(1, std::memory_order_relaxed);
    const auto at = static_cast<uint64_t>(registers[REG_RIP]);
    const Deed deed = watch->judge.Judge(registers);
    if (IsViolation(deed)) Report(deed, at, registers);
  } while (DoFunction(registers) || DoRepeated(registers));
  if (++steps == kMostSteps && !watch->every) {
    watch->counts->cut.fetch_add(1, std::memory_order_relaxed);
    registers[REG_EFL] &= ~kTrapFlag;
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
}

}  // namespace

void WindowOpens() {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, Start);
  watch->counts->windows.fetch_add(1, std::memory_order_relaxed);
  const auto place = reinterpret_cast<uint64_t>(__builtin_return_address(0));
  const uint32_t before = watch->opened[place % watch->opened.size()].fetch_add(1, std::memory_order_relaxed);
  if (depth == 0 && before >= kFirstWindows && before % kThenOneIn != 0 && !watch->every) return;
  watch->counts->watched.fetch_add(1, std::memory_order_relaxed);
  steps = 0;
  if (++depth == 1) SetTrapFlag();
}

void WindowCloses() {
  if (depth == 0) return;
  if (--depth == 0) ClearTrapFlag();
}

}  // namespace lightning
