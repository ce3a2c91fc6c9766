// Ways round every mapping: writes to the file itself, by a descriptor or by its name.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "pkeys_tests/routes/arena.h"
#include "store/segment/segment_file.h"

namespace lightning::routes {
namespace {

ScopedFd File(const Arena& arena) { return ScopedFd(open(arena.path().c_str(), O_RDWR | O_CLOEXEC)); }
// Whether the file could be opened; where not, the act ends.
bool Opened(Arena& arena, const ScopedFd& file) {
  if (!file.ok()) arena.Refused(-1);
  return file.ok();
}
off_t Offset(const Arena& arena, const std::byte* at) { return static_cast<off_t>(at - arena.control()); }

void Pwrite(Arena& arena, std::byte* at) {
  const ScopedFd file = File(arena);
  if (!Opened(arena, file)) return;
  arena.Refused(pwrite(file.get(), &kStray, sizeof kStray, Offset(arena, at)));
}
void Sendfile(Arena& arena, std::byte* at) {
  const ScopedFd from(memfd_create("source", MFD_CLOEXEC)), to = File(arena);
  if (!Opened(arena, to)) return;
  if (pwrite(from.get(), &kStray, sizeof kStray, 0) != sizeof kStray) abort();
  off_t begin = 0;
  lseek(to.get(), Offset(arena, at), SEEK_SET);
  arena.Refused(sendfile(to.get(), from.get(), &begin, sizeof kStray));
}
void Splice(Arena& arena, std::byte* at) {
  const ScopedFd file = File(arena);
  if (!Opened(arena, file)) return;
  int pipes[2];
  if (pipe(pipes) != 0 || write(pipes[1], &kStray, sizeof kStray) != sizeof kStray) abort();
  loff_t offset = Offset(arena, at);
  arena.Refused(splice(pipes[0], nullptr, file.get(), &offset, sizeof kStray, 0));
}
void PunchHole(Arena& arena, std::byte* at) {
  const ScopedFd file = File(arena);
  if (!Opened(arena, file)) return;
  arena.Refused(fallocate(file.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, Offset(arena, at), 4096));
}
void Truncate(Arena& arena, std::byte* at) {
  const ScopedFd file = File(arena);
  if (Opened(arena, file)) arena.Refused(ftruncate(file.get(), Offset(arena, at)));
}
// These know the control mapping's address, and need no rights to it.
void MadviseRemove(Arena& arena, std::byte* at) { arena.Refused(madvise(at, 4096, MADV_REMOVE)); }
const char* NoAdviceToItself() {
  return KernelIsBefore(6, 13) ? "the kernel lets no process give itself such advice (Linux 6.13)" : nullptr;
}
void ProcessMadviseRemove(Arena& arena, std::byte* at) {
  const ScopedFd self(static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0)));
  if (!self.ok()) arena.Skip("the kernel has no pidfd_open (before Linux 5.3)");
  const iovec range{at, 4096};
  arena.Refused(syscall(SYS_process_madvise, self.get(), &range, 1, MADV_REMOVE, 0) < 0 ? -1 : 0);
}
void SecondMapping(Arena& arena, std::byte* at) {
  const ScopedFd file = File(arena);
  if (!Opened(arena, file)) return;
  void* place = mmap(nullptr, arena.size(), PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  if (place == MAP_FAILED) abort();
  *reinterpret_cast<volatile uint64_t*>(static_cast<std::byte*>(place) + Offset(arena, at)) = kStray;
}

constexpr Act kActs[] = {
    {"pwrite_to_file", Sign::kRefused, Pwrite},
    {"sendfile_to_file", Sign::kRefused, Sendfile},
    {"splice_to_file", Sign::kRefused, Splice},
    {"punch_hole", Sign::kRefused, PunchHole, 4096, 4096, 0, nullptr, true},
    {"ftruncate", Sign::kRefused, Truncate, 16, 4096, 0, nullptr, true},
    {"madvise_remove", Sign::kRefused, MadviseRemove, 4096, 4096, 0, nullptr, true},
    {"process_madvise_remove", Sign::kRefused, ProcessMadviseRemove, 4096, 4096, EINVAL, NoAdviceToItself, true},
    {"second_mapping", Sign::kFault, SecondMapping, 16, 8, 0, nullptr, true},
};

}  // namespace

std::span<const Act> FileWrites() { return kActs; }

}  // namespace lightning::routes
