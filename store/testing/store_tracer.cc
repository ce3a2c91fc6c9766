#include "store/testing/store_tracer.h"

#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace lightning::test {
namespace {

struct Trace {
  std::byte* memory;
  uint64_t size;
  const StoreHooks* hooks;
  uint64_t offset = 0;
  uint64_t stores = 0;
};
Trace* running = nullptr;

constexpr greg_t kTrapFlag = 0x100;

// What one store may touch: its page, and the next when it crosses over.
void ProtectAround(uint64_t offset, int protection) {
  constexpr uint64_t kPage = 4096;
  const uint64_t begin = offset / kPage * kPage;
  const uint64_t size = std::min(running->size - begin, offset % kPage > kPage - 64 ? 2 * kPage : kPage);
  if (mprotect(running->memory + begin, size, protection) != 0) abort();
}

void OnFault(int signal, siginfo_t* info, void* context) {
  const auto* address = static_cast<std::byte*>(info->si_addr);
  if (running == nullptr || address < running->memory || address >= running->memory + running->size) {
    ::signal(signal, SIG_DFL);  // not ours: the instruction faults again, and ends the test as it should
    return;
  }
  running->offset = static_cast<uint64_t>(address - running->memory);
  running->hooks->before(running->offset);
  ProtectAround(running->offset, PROT_READ | PROT_WRITE);
  static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_EFL] |= kTrapFlag;
}

void OnTrap(int, siginfo_t*, void* context) {
  if (running == nullptr) abort();
  static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_EFL] &= ~kTrapFlag;
  ProtectAround(running->offset, PROT_READ);
  ++running->stores;
  running->hooks->after(running->offset);
}

}  // namespace

uint64_t TraceStores(std::byte* memory, uint64_t size, const StoreHooks& hooks, const std::function<void()>& body) {
  Trace trace{memory, size, &hooks};
  struct sigaction action, old_fault, old_trap;
  memset(&action, 0, sizeof action);
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  action.sa_sigaction = OnFault;
  if (sigaction(SIGSEGV, &action, &old_fault) != 0) abort();
  action.sa_sigaction = OnTrap;
  if (sigaction(SIGTRAP, &action, &old_trap) != 0) abort();
  running = &trace;
  if (mprotect(memory, size, PROT_READ) != 0) abort();
  body();
  if (mprotect(memory, size, PROT_READ | PROT_WRITE) != 0) abort();
  running = nullptr;
  sigaction(SIGSEGV, &old_fault, nullptr);
  sigaction(SIGTRAP, &old_trap, nullptr);
  return trace.stores;
}

}  // namespace lightning::test
