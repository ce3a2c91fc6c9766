#include "faults/engine/target_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <sstream>

#include "faults/engine/blocked.h"
#include "faults/engine/tracee.h"
#include "faults/target/target_host.h"

namespace lightning::faults {
namespace {

constexpr int kLookEvery = 4;                 // milliseconds between two looks at a process that does not answer
constexpr int kLooks = 300'000 / kLookEvery;  // until it is undecided
constexpr uint64_t kProcessorMs = 500, kSleeps = 20'000;

// Nothing of the caller's: what a target does must not depend on who started it.
const char* const kEnvironment[] = {"PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C.UTF-8", "PYTHONHASHSEED=0",
                                    "PYTHONDONTWRITEBYTECODE=1", nullptr};

[[noreturn]] void BecomeTarget(const TargetFile& file, const std::string& directory, bool traced) {
  const rlimit no_core = {0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  signal(SIGPIPE, SIG_DFL);
  if (!file.program && !traced) {
    const lightning_target* target = nullptr;
    const std::string error = LoadTarget(file.path, &target);
    if (!error.empty()) {
      fmt::print(stderr, "{}\n", error);
      _exit(2);
    }
    _exit(RunTargetHost(*target, directory));
  }
  std::vector<const char*> arguments;
  if (file.program) {
    arguments = {file.path.c_str(), directory.c_str(), nullptr};
  } else {
    arguments = {"lightning-faults", "target-host",     "--target", file.path.c_str(),
                 "--directory",      directory.c_str(), nullptr};
  }
  if (traced) {
    ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    personality(ADDR_NO_RANDOMIZE);
  }
  execve(file.program ? file.path.c_str() : VictimProgram().c_str(), const_cast<char**>(arguments.data()),
         const_cast<char**>(kEnvironment));
  fmt::print(stderr, "{}: {}\n", arguments[0], strerror(errno));
  _exit(127);
}

std::vector<pid_t> ChildrenOf(pid_t process) {
  std::ifstream file(fmt::format("/proc/{}/task/{}/children", process, process));
  std::vector<pid_t> children;
  for (pid_t child = 0; file >> child;) children.push_back(child);
  return children;
}

// Of a client that is dead: it should see that and end. One that stays does not belong to what is measured.
void WaitOrKill(pid_t child) {
  const int handle = static_cast<int>(syscall(SYS_pidfd_open, child, 0));
  pollfd gone = {handle, POLLIN, 0};
  if (handle >= 0 && poll(&gone, 1, 2000) == 0) kill(child, SIGKILL);
  if (handle >= 0) close(handle);
  int status = 0;
  waitpid(child, &status, 0);
}

void Understand(const std::string& line, TargetAnswer* answer) {
  const size_t space = line.find(' ');
  const std::string kind = line.substr(0, space), rest = space == std::string::npos ? "" : line.substr(space + 1);
  if (kind == "item") {
    const size_t between = rest.find(' ');
    const std::string value = between == std::string::npos ? "" : rest.substr(between + 1);
    if (!answer->items.emplace(rest.substr(0, between), value).second)
      answer->violations.push_back("list told the key " + rest.substr(0, between) + " twice");
  } else if (kind == "violation") {
    answer->violations.push_back(rest);
  } else if (kind == "shared") {
    answer->shared.push_back(rest);
  } else if (kind == "name") {
    answer->name = rest;
  } else if (kind == "error") {
    answer->error = rest.empty() ? "an error without a text" : rest;
  } else if (kind != "ok") {
    answer->error = "a line that is no answer: " + line;
  }
}

}  // namespace

bool CanTrace() {
  const pid_t child = fork();
  if (child == 0) _exit(ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) == 0 ? 0 : 1);
  int status = 1;
  return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

const std::string& TargetAnswer::Trouble() const {
  if (!died.empty()) return died;
  if (!hangs.empty()) return hangs;
  return undecided.empty() ? error : undecided;
}

std::string TargetProcess::Spawn(const TargetFile& file, const std::string& directory, const std::string& log,
                                 bool traced) {
  int in[2], out[2];
  if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0) return fmt::format("pipe: {}", strerror(errno));
  log_ = log;
  unread_.clear();
  fflush(nullptr);
  pid_ = fork();
  if (pid_ == 0) {
    const int errors = open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    dup2(in[0], STDIN_FILENO);
    dup2(out[1], STDOUT_FILENO);
    dup2(errors, STDERR_FILENO);
    close_range(3, ~0U, 0);
    BecomeTarget(file, directory, traced);
  }
  close(in[0]);
  close(out[1]);
  to_ = in[1];
  from_ = out[0];
  return pid_ < 0 ? fmt::format("fork: {}", strerror(errno)) : "";
}

std::string TargetProcess::Start(const TargetFile& file, const std::string& directory, const std::string& log) {
  return Spawn(file, directory, log, false);
}

std::string TargetProcess::StartTraced(const TargetFile& file, const std::string& directory, const std::string& log) {
  // Both on one processor: a step is then a switch, and no wake-up across processors.
  PinToCurrentProcessor();
  if (std::string error = Spawn(file, directory, log, true); !error.empty()) return error;
  int status = 0;
  if (waitpid(pid_, &status, 0) != pid_ || !WIFSTOPPED(status)) {
    pid_ = -1;
    return "the client could not be started under ptrace: " + LastWords();
  }
  if (ptrace(PTRACE_SETOPTIONS, pid_, nullptr, PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC) != 0)
    return fmt::format("ptrace: {}", strerror(errno));
  return "";
}

std::string TargetProcess::Send(const std::string& command) {
  const std::string line = command + "\n";
  // A process that is gone shows in the answer.
  if (write(to_, line.data(), line.size()) < 0 && errno != EPIPE) return fmt::format("pipe: {}", strerror(errno));
  return "";
}

TargetAnswer TargetProcess::Ask(const std::string& command) {
  TargetAnswer answer;
  const ProcessUse before = UseOf(pid_);
  answer.error = Send(command);
  if (!answer.error.empty()) return answer;
  for (int looks = 0;;) {
    for (size_t end; (end = unread_.find('\n')) != std::string::npos;) {
      const std::string line = unread_.substr(0, end);
      unread_.erase(0, end + 1);
      Understand(line, &answer);
      if (line == "ok" || !answer.error.empty()) return answer;
    }
    pollfd ready = {from_, POLLIN, 0};
    if (poll(&ready, 1, kLookEvery) > 0) {
      char bytes[4096];
      const ssize_t got = read(from_, bytes, sizeof bytes);
      if (got > 0) {
        unread_.append(bytes, static_cast<size_t>(got));
        continue;
      }
      answer.died = HowItEnded();
      return answer;
    }
    const ProcessUse now = UseOf(pid_);
    if (const std::string what = BlockedForever(pid_); !what.empty()) {
      answer.hangs = "it is blocked for ever on " + what;
    } else if (now.processor_ms - before.processor_ms > kProcessorMs) {
      answer.hangs = "it goes round in circles: half a second of processor time was not enough";
    } else if (now.sleeps - before.sleeps > kSleeps) {
      answer.hangs = "it waits in vain: it slept 20,000 times";
    } else if (++looks > kLooks) {
      answer.undecided = "it does not answer, and nothing proves that it never will";
    } else {
      continue;
    }
    return answer;
  }
}

std::string TargetProcess::LastWords() const {
  std::ifstream file(log_);
  std::string last;
  for (std::string line; std::getline(file, line);)
    if (!line.empty()) last = line;
  return last;
}

std::string TargetProcess::HowItEnded() {
  int status = 0;
  if (waitpid(pid_, &status, 0) != pid_) return "it is gone";
  pid_ = -1;
  const std::string words = LastWords();
  const std::string said = words.empty() ? "" : ": " + words;
  if (WIFSIGNALED(status)) return fmt::format("it died by signal {}{}", WTERMSIG(status), said);
  return fmt::format("it ended with status {}{}", WEXITSTATUS(status), said);
}

std::string TargetProcess::AfterStop(int status) {
  if (!WIFSTOPPED(status)) {
    pid_ = -1;
    return "the client died in an operation that nobody disturbed: " + LastWords();
  }
  const int signal = WSTOPSIG(status) & 0x7f;
  signal_ = signal == SIGTRAP ? 0 : signal;
  return "";
}

// To the next breakpoint, or until it is about to write to descriptor 1.
std::string TargetProcess::RunToTrap(bool* answers) {
  for (;;) {
    int status = 0;
    if (ptrace(PTRACE_SYSCALL, pid_, nullptr, signal_) != 0 || waitpid(pid_, &status, 0) != pid_)
      return fmt::format("ptrace: {}", strerror(errno));
    if (std::string error = AfterStop(status); !error.empty()) return error;
    if (status >> 8 == SIGTRAP) {
      *answers = false;
      return "";
    }
    if (WSTOPSIG(status) != (SIGTRAP | 0x80)) continue;
    user_regs_struct registers;
    if (std::string error = ReadRegisters(&registers); !error.empty()) return error;
    const bool entry = registers.rax == static_cast<unsigned long long>(-ENOSYS);
    *answers = entry && registers.orig_rax == SYS_write && registers.rdi == STDOUT_FILENO;
    if (*answers) return "";
  }
}

std::string TargetProcess::RunToAnswer() {
  bool answers = false;
  while (!answers)
    if (std::string error = RunToTrap(&answers); !error.empty()) return error;
  user_regs_struct registers;
  if (std::string error = ReadRegisters(&registers); !error.empty()) return error;
  std::string text(std::min<size_t>(registers.rdx, 4096), '\0');
  iovec local{text.data(), text.size()}, remote{reinterpret_cast<void*>(registers.rsi), text.size()};
  if (process_vm_readv(pid_, &local, 1, &remote, 1, 0) < 0) return fmt::format("its answer: {}", strerror(errno));
  TargetAnswer answer;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) Understand(line, &answer);
  return answer.error;
}

std::string TargetProcess::RunTo(uint64_t address, uint64_t times) {
  auto* const place = reinterpret_cast<void*>(address);
  errno = 0;
  const long code = ptrace(PTRACE_PEEKTEXT, pid_, place, nullptr);
  if (errno != 0) return fmt::format("ptrace: {}", strerror(errno));
  const long breakpoint = (code & ~0xFFL) | 0xCC;
  for (uint64_t i = 1; i <= times; ++i) {
    bool answers = true;
    user_regs_struct registers;
    if (ptrace(PTRACE_POKETEXT, pid_, place, breakpoint) != 0) return fmt::format("ptrace: {}", strerror(errno));
    if (std::string error = RunToTrap(&answers); !error.empty()) return error;
    if (answers) return "the client took another way than before: does it depend on chance, or on the time?";
    if (std::string error = ReadRegisters(&registers); !error.empty()) return error;
    if (registers.rip != address + 1) return fmt::format("a breakpoint of the client's own at {:#x}", registers.rip);
    registers.rip = address;
    if (ptrace(PTRACE_SETREGS, pid_, nullptr, &registers) != 0 || ptrace(PTRACE_POKETEXT, pid_, place, code) != 0)
      return fmt::format("ptrace: {}", strerror(errno));
    if (i == times) return "";
    if (std::string error = Step(); !error.empty()) return error;
  }
  return "";
}

std::string TargetProcess::Step() {
  int status = 0;
  if (ptrace(PTRACE_SINGLESTEP, pid_, nullptr, signal_) != 0 || waitpid(pid_, &status, __WALL) != pid_)
    return fmt::format("ptrace: {}", strerror(errno));
  return AfterStop(status);
}

std::string TargetProcess::ReadRegisters(user_regs_struct* registers) const {
  return ptrace(PTRACE_GETREGS, pid_, nullptr, registers) == 0 ? "" : fmt::format("ptrace: {}", strerror(errno));
}

void TargetProcess::Leave() {
  if (pid_ <= 0) return;
  const std::vector<pid_t> children = ChildrenOf(pid_);
  close(to_);
  to_ = -1;
  WaitOrKill(pid_);
  pid_ = -1;
  Kill();
  for (const pid_t child : children) WaitOrKill(child);
}

void TargetProcess::Kill() {
  if (pid_ > 0) {
    // What it started has its part in what its death leaves: Python's resource tracker removes shared memory then. They
    // come to this process, which has made itself their reaper.
    const std::vector<pid_t> children = ChildrenOf(pid_);
    int status = 0;
    kill(pid_, SIGKILL);
    while (waitpid(pid_, &status, __WALL) == pid_ && !WIFSIGNALED(status) && !WIFEXITED(status)) {
    }
    close(to_);  // both: a child may hold the other end
    close(from_);
    to_ = from_ = -1;
    for (const pid_t child : children) WaitOrKill(child);
  }
  pid_ = -1;
  if (to_ >= 0) close(to_);
  if (from_ >= 0) close(from_);
  to_ = from_ = -1;
}

}  // namespace lightning::faults
