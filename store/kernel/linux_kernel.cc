#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "store/kernel/kernel.h"

namespace lightning {
namespace {

// The whole of a small file of /proc, or -1 with errno. No allocation, no stdio.
ssize_t ReadSmallFile(const char* path, char* buffer, size_t size) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  const ssize_t got = read(fd, buffer, size - 1);
  const int error = errno;
  close(fd);
  errno = error;
  if (got >= 0) buffer[got] = '\0';
  return got;
}

struct ProcessStat {
  enum { kGone, kUnknown, kFound } outcome = kUnknown;
  char state = '?';
  uint64_t threads = 0;
  uint64_t start_time = 0;  // with the mark, see MarkOf
};

// What a process has written down as its start time: the clock ticks in the lower 48 bits, and above them a mark of the
// program that it runs, made of where its code and its first stack begin. A process that executes another program keeps
// pid and start time, but not this. Zero, which equals any other: the kernel does not tell (field 28 is zero then).
constexpr int kMarkShift = 48;
constexpr uint64_t MarkOf(uint64_t code, uint64_t stack) {
  if (stack == 0) return 0;
  const uint64_t hash = (code * 0x9E37'79B9'7F4A'7C15 ^ stack) * 0xD6E8'FEB8'6659'FD93;
  return (hash >> kMarkShift | 1) << kMarkShift;
}
constexpr bool SameStart(uint64_t one, uint64_t other) {
  const bool known = one >> kMarkShift != 0 && other >> kMarkShift != 0;
  return known ? one == other : ((one ^ other) << (64 - kMarkShift)) == 0;
}

// /proc/PID/stat: fields 3 (state), 20 (threads), 22 (start time), 26 (code) and 28 (stack). The name, field 2, may
// hold spaces and parentheses, so fields are counted from the last one that closes.
ProcessStat StatProcess(uint64_t pid) {
  char path[48], text[1024];
  snprintf(path, sizeof path, "/proc/%llu/stat", static_cast<unsigned long long>(pid));
  ProcessStat result;
  if (ReadSmallFile(path, text, sizeof text) <= 0) {
    // A machine without /proc mounted says ENOENT too; then nothing is known.
    if ((errno == ENOENT || errno == ESRCH) && access("/proc/self/stat", F_OK) == 0)
      result.outcome = ProcessStat::kGone;
    return result;
  }
  const char* at = strrchr(text, ')');
  if (at == nullptr || at[1] != ' ') return result;
  at += 2;
  result.state = *at;
  uint64_t code = 0;
  for (int field = 3; *at != '\0'; ++field) {
    if (field == 20) result.threads = strtoull(at, nullptr, 10);
    if (field == 22) result.start_time = strtoull(at, nullptr, 10) & ~(~uint64_t{0} << kMarkShift);
    if (field == 26) code = strtoull(at, nullptr, 10);
    if (field == 28) {
      result.start_time |= MarkOf(code, strtoull(at, nullptr, 10));
      result.outcome = ProcessStat::kFound;
      return result;
    }
    at = strchr(at, ' ');
    if (at == nullptr) return result;
    ++at;
  }
  return result;
}

uint64_t NamespaceId(const char* path) {
  struct stat info;
  return stat(path, &info) == 0 ? static_cast<uint64_t>(info.st_ino) : 0;
}

// Whether /proc shows our own pid namespace, rather than one around it (as after `unshare --pid` alone).
bool ProcIsOurs() {
  char self[32] = {0}, ours[32];
  snprintf(ours, sizeof ours, "%d", getpid());
  return readlink("/proc/self", self, sizeof self - 1) > 0 && strcmp(self, ours) == 0;
}

uint64_t BootId() {
  char text[64];
  uint64_t hash = 0xCBF2'9CE4'8422'2325;  // FNV-1a: an identifier, not a secret
  if (ReadSmallFile("/proc/sys/kernel/random/boot_id", text, sizeof text) <= 0) return 0;
  for (const char* at = text; *at != '\0'; ++at) hash = (hash ^ static_cast<uint8_t>(*at)) * 0x100'0000'01B3;
  return hash;
}

class LinuxKernel final : public Kernel {
 public:
  LinuxKernel(ScopedFd liveness, ScopedFd attach) : liveness_(std::move(liveness)), attach_(std::move(attach)) {
    self_.pid = static_cast<uint64_t>(getpid());
    self_.start_time = StatProcess(self_.pid).start_time;
    // Zero where /proc shows the processes of another namespace, whose numbers are not ours: then the lock decides.
    if (ProcIsOurs()) self_.namespaces = NamespaceId("/proc/self/ns/pid") << 32 ^ NamespaceId("/proc/self/ns/time");
    self_.boot = BootId();
    void* page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page != MAP_FAILED) {
      same_process_ = static_cast<std::atomic<uint32_t>*>(page);
      same_process_->store(1, std::memory_order_relaxed);
      madvise(page, 4096, MADV_WIPEONFORK);
    }
  }
  ~LinuxKernel() override {
    if (same_process_ != nullptr) munmap(same_process_, 4096);
  }
  LinuxKernel(const LinuxKernel&) = delete;
  LinuxKernel& operator=(const LinuxKernel&) = delete;

  Status Announce(uint32_t slot) override { return SetLock(liveness_.get(), slot, F_RDLCK); }
  void Retract(uint32_t slot) override { static_cast<void>(SetLock(liveness_.get(), slot, F_UNLCK)); }

  Status BeginAttach(Nanoseconds limit) override {
    const Nanoseconds deadline = DeadlineAfter(Now(), limit);
    for (;;) {
      const Status status = SetLock(attach_.get(), kAttacher, F_WRLCK);
      if (status.ok() || (status.sys_errno() != EAGAIN && status.sys_errno() != EACCES)) return status;
      if (Now() >= deadline) return Status(Code::kTimeout, "another process is attaching and does not move");
      Pause(Nanoseconds(200'000));
    }
  }
  void EndAttach() override {
    // Closing it would not do: the mappings made from this descriptor keep the file, and its locks, open.
    static_cast<void>(SetLock(attach_.get(), kAttacher, F_UNLCK).ok());
    attach_ = ScopedFd();
  }

  ClientIdentity Self() override { return self_; }

  bool IsAlive(uint32_t slot, const ClientIdentity* identity) override {
    if (identity != nullptr && identity->boot != self_.boot) return false;
    if (identity != nullptr && identity->namespaces == self_.namespaces && self_.namespaces != 0) {
      const ProcessStat stat = StatProcess(identity->pid);
      if (stat.outcome == ProcessStat::kGone) return false;
      if (stat.outcome == ProcessStat::kFound) {
        // A leader that has exited while other threads run on is shown as a zombie too, but with several threads.
        const bool exited = stat.state == 'X' || (stat.state == 'Z' && stat.threads <= 1);
        return SameStart(stat.start_time, identity->start_time) && !exited;
      }
    }
    return IsLocked(slot);
  }

  Nanoseconds Now() override {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return std::chrono::seconds(now.tv_sec) + Nanoseconds(now.tv_nsec);
  }

  void Pause(Nanoseconds pause) override {
    if (pause.count() == 0) {
      sched_yield();
      return;
    }
    const timespec time{pause.count() / 1'000'000'000, pause.count() % 1'000'000'000};
    nanosleep(&time, nullptr);
  }

  void Wait(const Atomic<uint32_t>& word, uint32_t expected, Nanoseconds limit) override {
    const timespec time{limit.count() / 1'000'000'000, limit.count() % 1'000'000'000};
    syscall(SYS_futex, &word, FUTEX_WAIT, expected, &time, nullptr, 0);
  }
  void WakeAll(const Atomic<uint32_t>& word) override {
    syscall(SYS_futex, &word, FUTEX_WAKE, INT32_MAX, nullptr, nullptr, 0);
  }

  bool IsSameProcess() const override {
    return same_process_ == nullptr || same_process_->load(std::memory_order_relaxed) != 0;
  }

 private:
  static struct flock Range(uint32_t slot, short type) {
    struct flock range;
    memset(&range, 0, sizeof range);
    range.l_type = type;
    range.l_whence = SEEK_SET;
    range.l_start = slot;
    range.l_len = 1;
    return range;
  }
  static Status SetLock(int fd, uint32_t slot, short type) {
    struct flock range = Range(slot, type);
    if (fcntl(fd, F_OFD_SETLK, &range) == 0) return {};
    return Status(Code::kSystem, "locking the client's byte of the segment file", errno);
  }
  bool IsLocked(uint32_t slot) {
    // A read lock of anyone is in the way of a write lock; nothing is set, only asked.
    struct flock range = Range(slot, F_WRLCK);
    return fcntl(liveness_.get(), F_OFD_GETLK, &range) != 0 || range.l_type != F_UNLCK;
  }

  ScopedFd liveness_;
  ScopedFd attach_;
  ClientIdentity self_;
  std::atomic<uint32_t>* same_process_ = nullptr;
};

}  // namespace

std::unique_ptr<Kernel> MakeLinuxKernel(ScopedFd liveness, ScopedFd attach) {
  return std::make_unique<LinuxKernel>(std::move(liveness), std::move(attach));
}

}  // namespace lightning
