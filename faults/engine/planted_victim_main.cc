// planted-victim: the victim of the step engine with bugs planted in it, for tests of what is left of a failure. Just
// before each put it stores to a cell of the central state without an undo entry; before a `contains`, it takes as many
// steps as the clock says. `lightning-faults step --victim` starts it.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cstddef>
#include <cstdio>
#include <cstring>

#include "faults/engine/victim.h"
#include "store/segment/layout.h"

namespace lightning::faults {
namespace {

// The `evictions` counter of the segment in this file, writable, past the gate.
volatile uint64_t* MapCounter(const char* path) {
  const int fd = open(path, O_RDWR | O_CLOEXEC);
  struct stat facts = {};
  if (fd < 0 || fstat(fd, &facts) != 0) return nullptr;
  void* const memory = mmap(nullptr, static_cast<size_t>(facts.st_size), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) return nullptr;
  return reinterpret_cast<volatile uint64_t*>(static_cast<std::byte*>(memory) + kPageSize +
                                              offsetof(Central, evictions));
}

volatile uint64_t* counter = nullptr;

[[gnu::noinline]] void StoreWithoutUndo() { *counter = *counter + 1; }

[[gnu::noinline]] void TakeTime() {
  for (uint64_t i = __builtin_ia32_rdtsc() % 10'000; i != 0; --i) asm volatile("" ::: "memory");
}

}  // namespace
}  // namespace lightning::faults

// As the engine calls it: victim --plan FILE --client NAME --path FILE --mode MODE.
int main(int argc, char** argv) {
  using namespace lightning;
  if (argc != 10 || strcmp(argv[1], "victim") != 0) {
    fputs("planted-victim: the step engine starts it: lightning-faults step --victim planted-victim\n", stderr);
    return 2;
  }
  Isolation isolation = Isolation::kNone;
  if (!ParseIsolation(argv[9], &isolation)) return 2;
  faults::counter = faults::MapCounter(argv[7]);
  if (faults::counter == nullptr) return 3;
  const auto bug = [](const faults::PlanOperation& operation) {
    if (operation.action == faults::Action::kPut) faults::StoreWithoutUndo();
    if (operation.action == faults::Action::kContains) faults::TakeTime();
  };
  faults::RunVictim(argv[3], argv[5], argv[7], isolation, bug);
}
