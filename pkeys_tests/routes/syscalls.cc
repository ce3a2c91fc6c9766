// System calls that write into memory of the caller's, at an address that went astray. Each is refused with EFAULT.
#include <dirent.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include "pkeys_tests/routes/arena.h"
#include "pkeys_tests/routes/source.h"
#include "store/segment/segment_file.h"

namespace lightning::routes {
namespace {

struct Pair {
  explicit Pair(bool sockets) {
    if ((sockets ? socketpair(AF_UNIX, SOCK_STREAM, 0, fds) : pipe(fds)) != 0) abort();
    if (::write(fds[1], "ZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ", 32) != 32) abort();
  }
  ~Pair() {
    close(fds[0]);
    close(fds[1]);
  }
  int fds[2];
};

// The raw call, so that the C library neither copies nor looks at the memory first.
template <typename... Arguments>
void Call(Arena& arena, long number, Arguments... arguments) {
  arena.Refused(syscall(number, arguments...));
}

void Read(Arena& arena, std::byte* at) { Call(arena, SYS_read, Source().get(), at, 64); }
void Pread(Arena& arena, std::byte* at) { Call(arena, SYS_pread64, Source().get(), at, 64, 0); }
void ReadPipe(Arena& arena, std::byte* at) { Call(arena, SYS_read, Pair(false).fds[0], at, 32); }
void Readv(Arena& arena, std::byte* at) {
  const iovec to{at, 64};
  Call(arena, SYS_readv, Source().get(), &to, 1);
}
void Preadv(Arena& arena, std::byte* at) {
  const iovec to{at, 64};
  Call(arena, SYS_preadv, Source().get(), &to, 1, 0, 0);
}
void Preadv2(Arena& arena, std::byte* at) {
  const iovec to{at, 64};
  Call(arena, SYS_preadv2, Source().get(), &to, 1, 0, 0, 0);
}
void ReadDirect(Arena& arena, std::byte* at) {
  const ScopedFd fd(open("/proc/self/exe", O_RDONLY | O_CLOEXEC | O_DIRECT));
  if (!fd.ok()) arena.Skip("the file system of the test program has no O_DIRECT");
  Call(arena, SYS_pread64, fd.get(), at, 4096, 0);
}
void Recv(Arena& arena, std::byte* at) { Call(arena, SYS_recvfrom, Pair(true).fds[0], at, 16, 0, 0, 0); }
void Recvmsg(Arena& arena, std::byte* at) {
  iovec to{at, 16};
  msghdr message{};
  message.msg_iov = &to;
  message.msg_iovlen = 1;
  Call(arena, SYS_recvmsg, Pair(true).fds[0], &message, 0);
}
void Recvmmsg(Arena& arena, std::byte* at) {
  iovec to{at, 16};
  mmsghdr message{};
  message.msg_hdr.msg_iov = &to;
  message.msg_hdr.msg_iovlen = 1;
  Call(arena, SYS_recvmmsg, Pair(true).fds[0], &message, 1, 0, nullptr);
}
void Getrandom(Arena& arena, std::byte* at) { Call(arena, SYS_getrandom, at, 64, 0); }
void Fstat(Arena& arena, std::byte* at) { Call(arena, SYS_fstat, Source().get(), at); }
void Statx(Arena& arena, std::byte* at) {
  Call(arena, SYS_statx, Source().get(), "", AT_EMPTY_PATH, STATX_BASIC_STATS, at);
}
void Fionread(Arena& arena, std::byte* at) { Call(arena, SYS_ioctl, Pair(true).fds[0], FIONREAD, at); }
void ClockGettime(Arena& arena, std::byte* at) { Call(arena, SYS_clock_gettime, CLOCK_MONOTONIC, at); }
void Uname(Arena& arena, std::byte* at) { Call(arena, SYS_uname, at); }
void Getcwd(Arena& arena, std::byte* at) { Call(arena, SYS_getcwd, at, 512); }
void Readlink(Arena& arena, std::byte* at) { Call(arena, SYS_readlink, "/proc/self/exe", at, 64); }
void Getdents(Arena& arena, std::byte* at) {
  const ScopedFd folder(open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  Call(arena, SYS_getdents64, folder.get(), at, 512);
}
void Pipe2(Arena& arena, std::byte* at) { Call(arena, SYS_pipe2, at, O_CLOEXEC); }
void Socketpair(Arena& arena, std::byte* at) { Call(arena, SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, at); }
void Getsockopt(Arena& arena, std::byte* at) {
  socklen_t size = 4;
  Call(arena, SYS_getsockopt, Pair(true).fds[0], SOL_SOCKET, SO_SNDBUF, at, &size);
}
void Poll(Arena& arena, std::byte* at) {
  // The kernel reads the array before it writes `revents`, so it is refused either way.
  const Pair pair(true);
  const pollfd one{pair.fds[0], POLLIN, 0};
  uint64_t word;
  memcpy(&word, &one, sizeof word);
  arena.Poke(at, word);
  Call(arena, SYS_poll, at, 1, 0);
}
void EpollWait(Arena& arena, std::byte* at) {
  const Pair pair(true);
  const ScopedFd epoll(epoll_create1(EPOLL_CLOEXEC));
  epoll_event event{EPOLLIN, {}};
  event.data.u64 = kStray;
  if (epoll_ctl(epoll.get(), EPOLL_CTL_ADD, pair.fds[0], &event) != 0) abort();
  Call(arena, SYS_epoll_wait, epoll.get(), at, 1, 0);
}
void Sysinfo(Arena& arena, std::byte* at) { Call(arena, SYS_sysinfo, at); }
void Times(Arena& arena, std::byte* at) { Call(arena, SYS_times, at); }
void Getrusage(Arena& arena, std::byte* at) { Call(arena, SYS_getrusage, RUSAGE_SELF, at); }
void Getrlimit(Arena& arena, std::byte* at) { Call(arena, SYS_prlimit64, 0, RLIMIT_NOFILE, nullptr, at); }
void Sigprocmask(Arena& arena, std::byte* at) {
  // So that the old mask differs from zeroes.
  sigset_t mask;
  sigemptyset(&mask);
  sigaddset(&mask, SIGWINCH);
  sigprocmask(SIG_BLOCK, &mask, nullptr);
  Call(arena, SYS_rt_sigprocmask, SIG_BLOCK, nullptr, at, 8);
}
void Sigaltstack(Arena& arena, std::byte* at) { Call(arena, SYS_sigaltstack, nullptr, at); }
void Affinity(Arena& arena, std::byte* at) { Call(arena, SYS_sched_getaffinity, 0, 128, at); }
void Prctl(Arena& arena, std::byte* at) { Call(arena, SYS_prctl, PR_GET_NAME, at, 0, 0, 0); }
void Wait4(Arena& arena, std::byte* at) {
  const pid_t child = fork();
  if (child == 0) _exit(90);
  Call(arena, SYS_wait4, child, at, 0, nullptr);
}
void ProcessVmReadv(Arena& arena, std::byte* at) {
  static uint64_t from[2] = {kStray, kStray};
  const iovec local{at, sizeof from}, remote{from, sizeof from};
  Call(arena, SYS_process_vm_readv, getpid(), &local, 1, &remote, 1, 0);
}
void Vmsplice(Arena& arena, std::byte* at) {
  const Pair pair(false);
  const iovec to{at, 32};
  Call(arena, SYS_vmsplice, pair.fds[0], &to, 1, 0);
}
void FutexWakeOp(Arena& arena, std::byte* at) {
  static uint32_t word = 0;
  Call(arena, SYS_futex, &word, FUTEX_WAKE_OP, 1, 1, at, FUTEX_OP(FUTEX_OP_XOR, 0x5A5, FUTEX_OP_CMP_EQ, 0));
}
void FutexLockPi(Arena& arena, std::byte* at) {
  arena.Poke(at, 0);
  Call(arena, SYS_futex, at, FUTEX_LOCK_PI, 0, nullptr, nullptr, 0);
}
void Mincore(Arena& arena, std::byte* at) {
  static const std::string pages(64 * 4096, 'p');
  const auto begin = reinterpret_cast<uint64_t>(pages.data()) & ~uint64_t{4095};
  Call(arena, SYS_mincore, begin, 16 * 4096, at);
}
void GetTimer(Arena& arena, std::byte* at) {
  const itimerval later{{1000, 0}, {1000, 0}};
  if (syscall(SYS_setitimer, ITIMER_REAL, &later, nullptr) != 0) abort();
  Call(arena, SYS_getitimer, ITIMER_REAL, at);
}
// The vDSO stores itself, in user mode, where it can; else it makes the system call.
void VdsoClock(Arena& arena, std::byte* at) {
  arena.Refused(clock_gettime(CLOCK_MONOTONIC, reinterpret_cast<timespec*>(at)));
}
void VdsoTime(Arena& arena, std::byte* at) {
  static time_t (*volatile call)(time_t*) = time;
  arena.Refused(call(reinterpret_cast<time_t*>(at)) == -1 ? -1 : 0);
}
void VdsoCpu(Arena& arena, std::byte* at) {
  arena.Poke(at, ~uint64_t{0});  // what it stores may be zeroes
  auto* const processor = reinterpret_cast<unsigned*>(at);
  arena.Refused(getcpu(processor, processor + 1));
}

constexpr Sign kR = Sign::kRefused;
constexpr Act kSyscalls[] = {
    {"read", kR, Read, 64, 8, EFAULT},
    {"pread", kR, Pread, 64, 8, EFAULT},
    {"read_from_pipe", kR, ReadPipe, 32, 8, EFAULT},
    {"readv", kR, Readv, 64, 8, EFAULT},
    {"preadv", kR, Preadv, 64, 8, EFAULT},
    {"preadv2", kR, Preadv2, 64, 8, EFAULT},
    {"read_o_direct", kR, ReadDirect, 4096, 4096, EFAULT},
    {"recv", kR, Recv, 16, 8, EFAULT},
    {"recvmsg", kR, Recvmsg, 16, 8, EFAULT},
    {"recvmmsg", kR, Recvmmsg, 16, 8, EFAULT},
    {"getrandom", kR, Getrandom, 64, 8, EFAULT},
    {"fstat", kR, Fstat, 144, 8, EFAULT},
    {"statx", kR, Statx, 256, 8, EFAULT},
    {"ioctl_fionread", kR, Fionread, 4, 8, EFAULT},
    {"clock_gettime", kR, ClockGettime, 16, 8, EFAULT},
    {"uname", kR, Uname, 390, 8, EFAULT},
    {"getcwd", kR, Getcwd, 512, 8, EFAULT},
    {"readlink", kR, Readlink, 64, 8, EFAULT},
    {"getdents64", kR, Getdents, 512, 8, EFAULT},
    {"pipe2", kR, Pipe2, 8, 8, EFAULT},
    {"socketpair", kR, Socketpair, 8, 8, EFAULT},
    {"getsockopt", kR, Getsockopt, 4, 8, EFAULT},
    {"poll", kR, Poll, 8, 8, EFAULT},
    {"epoll_wait", kR, EpollWait, 16, 8, EFAULT},
    {"sysinfo", kR, Sysinfo, 112, 8, EFAULT},
    {"times", kR, Times, 32, 8, EFAULT},
    {"getrusage", kR, Getrusage, 144, 8, EFAULT},
    {"getrlimit", kR, Getrlimit, 16, 8, EFAULT},
    {"sigprocmask", kR, Sigprocmask, 8, 8, EFAULT},
    {"sigaltstack_old", kR, Sigaltstack, 24, 8, EFAULT},
    {"sched_getaffinity", kR, Affinity, 128, 8, EFAULT},
    {"prctl_get_name", kR, Prctl, 16, 8, EFAULT},
    {"wait4_status", kR, Wait4, 4, 8, EFAULT},
    {"process_vm_readv", kR, ProcessVmReadv, 16, 8, EFAULT},
    {"vmsplice_from_pipe", kR, Vmsplice, 32, 8, EFAULT},
    {"futex_wake_op", kR, FutexWakeOp, 4, 8, EFAULT},
    {"futex_lock_pi", kR, FutexLockPi, 4, 8, EFAULT},
    {"mincore", kR, Mincore, 16, 8, EFAULT},
    {"getitimer", kR, GetTimer, 32, 8, EFAULT},
    {"vdso_clock_gettime", Sign::kEither, VdsoClock, 16, 8, EFAULT},
    {"vdso_time", Sign::kEither, VdsoTime, 8, 8, EFAULT},
    {"vdso_getcpu", Sign::kEither, VdsoCpu, 16, 8, EFAULT},
};

}  // namespace

std::span<const Act> Syscalls() { return kSyscalls; }

}  // namespace lightning::routes
