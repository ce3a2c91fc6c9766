// Reads that the kernel completes in its own time: io_uring and the older asynchronous I/O, by raw system calls.
#include <linux/aio_abi.h>
#include <linux/io_uring.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <thread>

#include "pkeys_tests/routes/arena.h"
#include "pkeys_tests/routes/source.h"
#include "store/segment/segment_file.h"

namespace lightning::routes {
namespace {

class Ring {
 public:
  explicit Ring(uint32_t flags) {
    parameters_.flags = flags;
    parameters_.sq_thread_idle = 1000;
    fd_ = ScopedFd(static_cast<int>(syscall(SYS_io_uring_setup, 4, &parameters_)));
    if (!fd_.ok()) return;
    const auto& p = parameters_;
    submissions_ = Map(p.sq_off.array + p.sq_entries * sizeof(uint32_t), IORING_OFF_SQ_RING);
    completions_ = Map(p.cq_off.cqes + p.cq_entries * sizeof(io_uring_cqe), IORING_OFF_CQ_RING);
    entries_ = reinterpret_cast<io_uring_sqe*>(Map(p.sq_entries * sizeof(io_uring_sqe), IORING_OFF_SQES));
  }
  bool ok() const { return fd_.ok(); }
  int fd() const { return fd_.get(); }

  // One request; its result.
  int Do(const io_uring_sqe& request) {
    entries_[0] = request;
    Word(submissions_, parameters_.sq_off.array) = 0;
    auto& tail = Word(submissions_, parameters_.sq_off.tail);
    std::atomic_ref(tail).fetch_add(1, std::memory_order_seq_cst);
    uint32_t flags = IORING_ENTER_GETEVENTS;
    if ((parameters_.flags & IORING_SETUP_SQPOLL) != 0) flags |= IORING_ENTER_SQ_WAKEUP;
    auto& done = Word(completions_, parameters_.cq_off.tail);
    auto& seen = Word(completions_, parameters_.cq_off.head);
    while (std::atomic_ref(done).load(std::memory_order_acquire) == seen) {
      if (syscall(SYS_io_uring_enter, fd(), 1, 1, flags, nullptr, 0) < 0 && errno != EINTR) return -errno;
    }
    auto* const all = reinterpret_cast<io_uring_cqe*>(completions_ + parameters_.cq_off.cqes);
    return all[seen++ & (parameters_.cq_entries - 1)].res;
  }

 private:
  std::byte* Map(size_t size, uint64_t offset) const {
    void* place =
        mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd(), static_cast<off_t>(offset));
    if (place == MAP_FAILED) abort();
    return static_cast<std::byte*>(place);
  }
  static uint32_t& Word(std::byte* ring, uint32_t offset) { return *reinterpret_cast<uint32_t*>(ring + offset); }

  io_uring_params parameters_{};
  ScopedFd fd_;
  std::byte* submissions_ = nullptr;
  std::byte* completions_ = nullptr;
  io_uring_sqe* entries_ = nullptr;
};

const char* NoRing() {
  const Ring ring(0);
  if (ring.ok()) return nullptr;
  return errno == EPERM ? "io_uring is forbidden here (kernel.io_uring_disabled, or a seccomp filter)"
                        : "the kernel has no io_uring";
}

io_uring_sqe ReadRequest(int fd, std::byte* at, uint8_t flags) {
  io_uring_sqe request;
  memset(&request, 0, sizeof request);
  request.opcode = IORING_OP_READ;
  request.fd = fd;
  request.addr = reinterpret_cast<uint64_t>(at);
  request.len = 64;
  request.flags = flags;
  return request;
}
void Report(Arena& arena, int result) {
  errno = result < 0 ? -result : 0;
  arena.Refused(result < 0 ? -1 : 0);
}
void Read(Arena& arena, std::byte* at, uint32_t ring_flags, uint8_t flags) {
  const ScopedFd source = Source();
  Ring ring(ring_flags);
  if (!ring.ok()) arena.Skip("the kernel refuses such a ring");
  Report(arena, ring.Do(ReadRequest(source.get(), at, flags)));
}

void Inline(Arena& arena, std::byte* at) { Read(arena, at, 0, 0); }
void Worker(Arena& arena, std::byte* at) { Read(arena, at, 0, IOSQE_ASYNC); }
void Poller(Arena& arena, std::byte* at) { Read(arena, at, IORING_SETUP_SQPOLL, 0); }
void RegisteredNow(Arena& arena, std::byte* at) {
  const ScopedFd source = Source();
  Ring ring(0);
  const iovec buffer{at, 64};
  if (syscall(SYS_io_uring_register, ring.fd(), IORING_REGISTER_BUFFERS, &buffer, 1) != 0) {
    arena.Refused(-1);
    return;
  }
  io_uring_sqe request = ReadRequest(source.get(), at, 0);
  request.opcode = IORING_OP_READ_FIXED;
  Report(arena, ring.Do(request));
}
// Registered, or born, while a window was open, and used when it is closed.
void RegisteredInWindow(Arena& arena, std::byte* at) {
  const ScopedFd source = Source();
  Ring ring(0);
  long failed = 0;
  arena.WithRights(at, 64, [&] {
    const iovec buffer{at, 64};
    failed = syscall(SYS_io_uring_register, ring.fd(), IORING_REGISTER_BUFFERS, &buffer, 1);
  });
  if (failed != 0) arena.Skip("the kernel registers no buffers here (RLIMIT_MEMLOCK)");
  io_uring_sqe request = ReadRequest(source.get(), at, 0);
  request.opcode = IORING_OP_READ_FIXED;
  Report(arena, ring.Do(request));
}
void WorkerOfWindow(Arena& arena, std::byte* at) {
  const ScopedFd source = Source();
  Ring ring(0);
  static std::byte elsewhere[64];
  arena.WithRights(at, 64, [&] { ring.Do(ReadRequest(source.get(), elsewhere, IOSQE_ASYNC)); });
  Report(arena, ring.Do(ReadRequest(source.get(), at, IOSQE_ASYNC)));
}
void PollerOfWindow(Arena& arena, std::byte* at) {
  const ScopedFd source = Source();
  std::unique_ptr<Ring> ring;
  arena.WithRights(at, 64, [&] { ring = std::make_unique<Ring>(IORING_SETUP_SQPOLL); });
  if (!ring->ok()) arena.Skip("the kernel refuses such a ring");
  Report(arena, ring->Do(ReadRequest(source.get(), at, 0)));
}

// A request that changes the mapping; no seccomp filter sees what a ring is asked for.
void RingMadviseRemove(Arena& arena, std::byte* at) {
  Ring ring(0);
  if (!ring.ok()) arena.Skip("the kernel refuses such a ring");
  io_uring_sqe request;
  memset(&request, 0, sizeof request);
  request.opcode = IORING_OP_MADVISE;
  request.addr = reinterpret_cast<uint64_t>(at);
  request.len = kPageSize;
  request.fadvise_advice = MADV_REMOVE;
  Report(arena, ring.Do(request));
}

// Whether this thread of the process waits in the system call `number`.
bool WaitsIn(pid_t thread, long number) {
  std::ifstream file("/proc/self/task/" + std::to_string(thread) + "/syscall");
  long found = -1;
  return file >> found && found == number;
}
// Another thread waits in a read from a pipe; the bytes come while this one has a window open.
void ReadCompletingInWindow(Arena& arena, std::byte* at) {
  if (!std::ifstream("/proc/self/syscall").good()) arena.Skip("the kernel has no /proc/self/syscall");
  int pipes[2];
  if (pipe(pipes) != 0) abort();
  std::atomic<pid_t> thread{0};
  long result = 0;
  int error = 0;
  std::thread reader([&] {
    thread = static_cast<pid_t>(syscall(SYS_gettid));
    result = syscall(SYS_read, pipes[0], at, sizeof kStray);
    error = errno;
  });
  while (thread == 0 || !WaitsIn(thread, SYS_read)) sched_yield();
  arena.WithRights(at, sizeof kStray, [&] {
    if (write(pipes[1], &kStray, sizeof kStray) != sizeof kStray) abort();
    reader.join();
  });
  errno = error;
  arena.Refused(result);
}

aio_context_t Context(Arena& arena) {
  aio_context_t context = 0;
  if (syscall(SYS_io_setup, 4, &context) != 0) arena.Skip("the kernel has no asynchronous I/O");
  return context;
}
int64_t Submit(aio_context_t context, int fd, void* at, io_event* event) {
  iocb request;
  memset(&request, 0, sizeof request);
  request.aio_lio_opcode = IOCB_CMD_PREAD;
  request.aio_fildes = static_cast<uint32_t>(fd);
  request.aio_buf = reinterpret_cast<uint64_t>(at);
  request.aio_nbytes = 64;
  iocb* requests[] = {&request};
  if (syscall(SYS_io_submit, context, 1, requests) != 1) return -errno;
  if (event == nullptr) return 0;
  if (syscall(SYS_io_getevents, context, 1, 1, event, nullptr) != 1) return -errno;
  return event->res;
}
void Aio(Arena& arena, std::byte* at) {
  const ScopedFd source = Source();
  io_event event{};
  Report(arena, static_cast<int>(Submit(Context(arena), source.get(), at, &event)));
}
void AioEvents(Arena& arena, std::byte* at) {
  const ScopedFd source = Source();
  static std::byte elsewhere[64];
  const aio_context_t context = Context(arena);
  if (Submit(context, source.get(), elsewhere, nullptr) != 0) abort();
  arena.Refused(syscall(SYS_io_getevents, context, 1, 1, at, nullptr));
}

constexpr Sign kR = Sign::kRefused;
constexpr Act kActs[] = {
    // Apart from its control, too: what fails at once goes on to a worker, and the control's would still be there.
    {"io_uring_inline", kR, Inline, 64, 8, EFAULT, NoRing, true},
    {"io_uring_worker", kR, Worker, 64, 8, EFAULT, NoRing, true},
    {"io_uring_sqpoll", kR, Poller, 64, 8, EFAULT, NoRing, true},
    {"io_uring_registered", kR, RegisteredNow, 64, 8, EFAULT, NoRing, true},
    {"io_uring_registered_in_window", kR, RegisteredInWindow, 64, 8, EFAULT, NoRing, true},
    {"io_uring_worker_of_window", kR, WorkerOfWindow, 64, 8, EFAULT, NoRing, true},
    {"io_uring_sqpoll_of_window", kR, PollerOfWindow, 64, 8, EFAULT, NoRing, true},
    {"io_uring_madvise_remove", kR, RingMadviseRemove, 4096, 4096, 0, NoRing, true},
    {"read_completing_in_window", kR, ReadCompletingInWindow, 8, 8, EFAULT, nullptr, true},
    {"libaio", kR, Aio, 64, 8, EFAULT},
    {"libaio_events", kR, AioEvents, 32, 8, EFAULT},
};

}  // namespace

std::span<const Act> AsyncReads() { return kActs; }

}  // namespace lightning::routes
