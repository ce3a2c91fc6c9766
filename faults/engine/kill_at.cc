#include "faults/engine/kill_at.h"

#include <fmt/format.h>
#include <sched.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>

#include "faults/report/source_line.h"

namespace lightning::faults {
namespace {

constexpr int kSystemCallStop = SIGTRAP | 0x80;  // PTRACE_O_TRACESYSGOOD
constexpr uint64_t kSystemCallCode = 0x050f;     // the two bytes of `syscall`

std::string ReadMemory(int process, uint64_t address, uint64_t size) {
  std::string bytes(std::min<uint64_t>(size, 1 << 20), '\0');
  const iovec here = {bytes.data(), bytes.size()};
  const iovec there = {reinterpret_cast<void*>(address), bytes.size()};
  const ssize_t got = process_vm_readv(process, &here, 1, &there, 1, 0);
  bytes.resize(got < 0 ? 0 : static_cast<size_t>(got));
  return bytes;
}

// What a write or writev that returned has written to standard output.
std::string Written(int process, const user_regs_struct& after) {
  const auto size = static_cast<int64_t>(after.rax);
  if (after.rdi != STDOUT_FILENO || size <= 0) return "";
  if (after.orig_rax == SYS_write) return ReadMemory(process, after.rsi, after.rax);
  if (after.orig_rax != SYS_writev) return "";
  std::string bytes;
  const std::string parts = ReadMemory(process, after.rsi, std::min<uint64_t>(after.rdx, 1024) * sizeof(iovec));
  for (size_t at = 0; at + sizeof(iovec) <= parts.size(); at += sizeof(iovec)) {
    iovec part;
    memcpy(&part, parts.data() + at, sizeof part);
    bytes += ReadMemory(process, reinterpret_cast<uint64_t>(part.iov_base), part.iov_len);
  }
  bytes.resize(std::min(bytes.size(), static_cast<size_t>(size)));
  return bytes;
}

bool HasFile(int process, uint64_t descriptor, const std::string& path) {
  std::error_code error;
  const auto file = std::filesystem::read_symlink(fmt::format("/proc/{}/fd/{}", process, descriptor), error);
  return !error && file == std::filesystem::weakly_canonical(path, error);
}

}  // namespace

bool OutputLines::Add(int process, const user_regs_struct& after, const std::string& line) {
  partial_ += Written(process, after);
  bool found = false;
  for (size_t end = partial_.find('\n'); end != std::string::npos; end = partial_.find('\n')) {
    found |= partial_.compare(0, end, line) == 0;
    partial_.erase(0, end + 1);
  }
  return found;
}

std::string KillAt::Start() {
  std::vector<char*> argv;
  for (const std::string& word : command_) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  // Both on one processor: a step is then a switch and no wake-up across processors.
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(static_cast<size_t>(sched_getcpu()), &one);
  sched_setaffinity(0, sizeof one, &one);
  pid_ = fork();
  if (pid_ == 0) {
    // This program ignores them, the other may not.
    for (const int number : {SIGINT, SIGQUIT}) signal(number, SIG_DFL);
    ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    personality(ADDR_NO_RANDOMIZE);
    raise(SIGSTOP);  // so that the options are set before the program begins
    execvp(argv[0], argv.data());
    _exit(errno == ENOENT ? 127 : 126);
  }
  int status = 0;
  if (pid_ < 0 || waitpid(pid_, &status, 0) != pid_ || !WIFSTOPPED(status)) return "cannot start a process";
  if (ptrace(PTRACE_SETOPTIONS, pid_, nullptr, PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC) != 0) {
    const std::string error = fmt::format("ptrace: {}", strerror(errno));
    kill(pid_, SIGKILL);
    return error;
  }
  if (ptrace(PTRACE_CONT, pid_, nullptr, nullptr) != 0 || waitpid(pid_, &status, 0) != pid_)
    return fmt::format("ptrace: {}", strerror(errno));
  // The exec, or the end of what could not be executed.
  if (!WIFSTOPPED(status)) return fmt::format("{}: cannot be executed", command_[0]);
  return "";
}

KillAt::Stop KillAt::Next(int request) {
  int status = 0;
  if (ptrace(static_cast<__ptrace_request>(request), pid_, nullptr, signal_) != 0 && errno != ESRCH)
    return Stop::kEnded;
  signal_ = 0;
  if (waitpid(pid_, &status, 0) != pid_ || !WIFSTOPPED(status)) {
    outcome_->status = status;
    return Stop::kEnded;
  }
  if (WSTOPSIG(status) == kSystemCallStop) return Stop::kSystemCall;
  if (status >> 16 != 0) return Stop::kOther;  // an exec
  siginfo_t info = {};
  if (ptrace(PTRACE_GETSIGINFO, pid_, nullptr, &info) != 0) return Stop::kOther;  // stopped together with its group
  const bool stepped = info.si_signo == SIGTRAP && (info.si_code == TRAP_TRACE || info.si_code == TRAP_BRKPT);
  if (stepped) return Stop::kStep;
  signal_ = info.si_signo;
  return Stop::kOther;
}

void KillAt::ReadRegisters() { ptrace(PTRACE_GETREGS, pid_, nullptr, &registers_); }

bool KillAt::AtSystemCall() {
  ReadRegisters();
  errno = 0;
  const long code = ptrace(PTRACE_PEEKTEXT, pid_, registers_.rip, nullptr);
  return errno == 0 && (static_cast<uint64_t>(code) & 0xffff) == kSystemCallCode;
}

bool KillAt::IsMarker(OutputLines* lines) const {
  if (!point_.after_line.empty()) return lines->Add(pid_, registers_, point_.after_line);
  const bool mapped = registers_.orig_rax == SYS_mmap && static_cast<int64_t>(registers_.rax) > 0;
  return mapped && HasFile(pid_, registers_.r8, point_.after_map);
}

bool KillAt::RunToMarker() {
  if (point_.after_line.empty() && point_.after_map.empty()) return true;
  OutputLines lines;
  bool inside = true;  // of the exec
  for (;;) {
    const Stop stop = Next(PTRACE_SYSCALL);
    if (stop == Stop::kEnded) return false;
    if (stop != Stop::kSystemCall) continue;
    inside = !inside;
    if (inside) continue;
    ReadRegisters();
    if (IsMarker(&lines)) return true;
  }
}

void KillAt::Kill() {
  ReadRegisters();
  outcome_->killed = true;
  outcome_->address = registers_.rip;
  outcome_->where = SourceLine(pid_, registers_.rip);
  kill(pid_, SIGKILL);
  waitpid(pid_, &outcome_->status, __WALL);
  while (WIFSTOPPED(outcome_->status) && waitpid(pid_, &outcome_->status, __WALL) == pid_) {
  }
}

void KillAt::CountInstructions() {
  const bool counting = !point_.instructions;
  OutputLines lines;
  for (;;) {
    if (!counting && outcome_->instructions >= *point_.instructions) return Kill();
    const bool system_call = counting && AtSystemCall();
    const Stop stop = Next(PTRACE_SINGLESTEP);
    if (stop == Stop::kEnded) return;
    if (stop != Stop::kStep) continue;
    ++outcome_->instructions;
    if (!system_call) continue;
    ++outcome_->system_calls;
    // While a step is no system call stop, the registers before it have the number.
    user_regs_struct after = registers_;
    after.orig_rax = registers_.rax;
    ReadRegisters();
    after.rax = registers_.rax;
    if (!point_.until_line.empty() && lines.Add(pid_, after, point_.until_line)) {
      ptrace(PTRACE_DETACH, pid_, nullptr, nullptr);
      waitpid(pid_, &outcome_->status, 0);
      return;
    }
  }
}

void KillAt::CountSystemCalls() {
  bool inside = point_.after_line.empty() && point_.after_map.empty();  // of the exec
  for (;;) {
    const Stop stop = Next(PTRACE_SYSCALL);
    if (stop == Stop::kEnded) return;
    if (stop != Stop::kSystemCall) continue;
    inside = !inside;
    if (!inside) continue;
    if (++outcome_->system_calls >= *point_.system_calls) return Kill();
  }
}

std::string KillAt::Run(KillOutcome* outcome) {
  *outcome = {};
  outcome_ = outcome;
  if (std::string error = Start(); !error.empty()) return error;
  outcome->marker = RunToMarker();
  if (!outcome->marker) return "";
  if (point_.system_calls) {
    CountSystemCalls();
  } else {
    CountInstructions();
  }
  return "";
}

}  // namespace lightning::faults
