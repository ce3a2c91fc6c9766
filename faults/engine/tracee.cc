#include "faults/engine/tracee.h"

#include <fmt/format.h>
#include <sched.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

namespace lightning::faults {
namespace {

std::string& Program() {
  static std::string program = kOwnProgram;
  return program;
}

}  // namespace

void PinToCurrentProcessor() {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(static_cast<size_t>(sched_getcpu()), &one);
  sched_setaffinity(0, sizeof one, &one);
}

const std::string& VictimProgram() { return Program(); }
void SetVictimProgram(const std::string& path) { Program() = path; }

std::string Tracee::Start(const std::string& program, const std::vector<std::string>& arguments) {
  cpu_set_t before;
  sched_getaffinity(0, sizeof before, &before);
  PinToCurrentProcessor();
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  char* no_environment[] = {nullptr};
  pid_ = fork();
  if (pid_ == 0) {
    ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    personality(ADDR_NO_RANDOMIZE);
    execve(program.c_str(), argv.data(), no_environment);
    _exit(127);
  }
  if (pid_ < 0) return fmt::format("fork: {}", strerror(errno));
  int status = 0;
  if (waitpid(pid_, &status, 0) != pid_ || !WIFSTOPPED(status)) {
    pid_ = -1;
    return "the victim could not be started under ptrace";
  }
  if (ptrace(PTRACE_SETOPTIONS, pid_, nullptr, PTRACE_O_EXITKILL) != 0)
    return fmt::format("ptrace: {}", strerror(errno));
  return "";
}

std::string Tracee::AfterWait(int status) {
  if (WIFEXITED(status)) {
    pid_ = -1;
    return fmt::format("the victim ended with status {} where it should not", WEXITSTATUS(status));
  }
  if (WIFSIGNALED(status)) {
    pid_ = -1;
    return fmt::format("the victim died by signal {}", WTERMSIG(status));
  }
  if (ptrace(PTRACE_GETREGS, pid_, nullptr, &registers_) != 0) return fmt::format("ptrace: {}", strerror(errno));
  if (WSTOPSIG(status) != SIGTRAP)
    return fmt::format("the victim got signal {} at {:#x}", WSTOPSIG(status), registers_.rip);
  return "";
}

std::string Tracee::RunToMarker() {
  int status = 0;
  if (ptrace(PTRACE_CONT, pid_, nullptr, nullptr) != 0 || waitpid(pid_, &status, 0) != pid_)
    return fmt::format("ptrace: {}", strerror(errno));
  return AfterWait(status);
}

std::string Tracee::Step() {
  int status = 0;
  if (ptrace(PTRACE_SINGLESTEP, pid_, nullptr, nullptr) != 0 || waitpid(pid_, &status, __WALL) != pid_)
    return fmt::format("ptrace: {}", strerror(errno));
  return AfterWait(status);
}

int Tracee::Finish() {
  int status = 0;
  for (;;) {
    if (ptrace(PTRACE_CONT, pid_, nullptr, nullptr) != 0 || waitpid(pid_, &status, 0) != pid_) return -1;
    if (WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP) continue;  // the second marker
    break;
  }
  if (WIFSTOPPED(status)) {
    Kill();
    return -1;
  }
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

std::string Tracee::Release() {
  return ptrace(PTRACE_DETACH, pid_, nullptr, SIGSTOP) == 0 ? "" : fmt::format("ptrace: {}", strerror(errno));
}

void Tracee::Kill() {
  if (pid_ < 0) return;
  kill(pid_, SIGKILL);
  int status = 0;
  while (waitpid(pid_, &status, __WALL) == pid_ && !WIFSIGNALED(status) && !WIFEXITED(status)) {
  }
  pid_ = -1;
}

}  // namespace lightning::faults
