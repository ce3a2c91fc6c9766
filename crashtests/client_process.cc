#include "crashtests/client_process.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>

extern char** environ;

namespace lightning::crash {
namespace {

std::string Program() {
  const char* folder = getenv("LIGHTNING_BIN_DIR");
  return std::string(folder != nullptr ? folder : LIGHTNING_BIN_DIR) + "/crash-client";
}

}  // namespace

ClientProcess::ClientProcess(std::vector<std::string> arguments) {
  signal(SIGPIPE, SIG_IGN);
  int in[2], out[2];
  if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0) abort();
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
  std::string program = Program();
  std::vector<char*> argv{program.data()};
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  if (posix_spawn(&pid_, program.c_str(), &actions, nullptr, argv.data(), environ) != 0) pid_ = -1;
  posix_spawn_file_actions_destroy(&actions);
  close(in[0]);
  close(out[1]);
  to_ = in[1];
  from_ = out[0];
}

ClientProcess::~ClientProcess() {
  if (alive()) Kill();
  close(to_);
  close(from_);
}

void ClientProcess::Send(const std::string& command) {
  const std::string line = command + "\n";
  const ssize_t ignored = write(to_, line.data(), line.size());  // a dead process gives no answer
  static_cast<void>(ignored);
}

std::string ClientProcess::Receive() {
  for (;;) {
    if (const size_t end = buffer_.find('\n'); end != std::string::npos) {
      std::string line = buffer_.substr(0, end);
      buffer_.erase(0, end + 1);
      return line;
    }
    pollfd waiting{from_, POLLIN, 0};
    char bytes[4096];
    if (poll(&waiting, 1, 60'000) <= 0) return "no answer";
    const ssize_t got = read(from_, bytes, sizeof bytes);
    if (got <= 0) return "no answer";
    buffer_.append(bytes, static_cast<size_t>(got));
  }
}

void ClientProcess::Signal(int signal) {
  if (alive()) kill(pid_, signal);
}

void ClientProcess::Wait() {
  if (!alive()) return;
  for (int status = 0;;) {
    const pid_t got = waitpid(pid_, &status, __WALL);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 || WIFEXITED(status) || WIFSIGNALED(status)) break;
  }
  pid_ = -1;
  traced_ = false;
}

void ClientProcess::Kill() {
  Signal(SIGKILL);
  Wait();
}

// The next stop of the traced process. `marker` says whether it is an int3 of the client's rather than a step's end.
bool ClientProcess::WaitForTrap(bool* marker) {
  int status = 0;
  if (waitpid(pid_, &status, __WALL) != pid_ || !WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP) return false;
  siginfo_t info{};
  if (ptrace(PTRACE_GETSIGINFO, pid_, nullptr, &info) != 0) return false;
  *marker = info.si_code == SI_KERNEL;
  return true;
}

bool ClientProcess::StopAtStart(const std::string& command) {
  if (ptrace(PTRACE_SEIZE, pid_, nullptr, nullptr) != 0) return false;
  traced_ = true;
  Send("at " + command);
  bool marker = false;
  return WaitForTrap(&marker) && marker;
}

bool ClientProcess::Step() {
  bool marker = false;
  if (!traced_ || ptrace(PTRACE_SINGLESTEP, pid_, nullptr, nullptr) != 0) return false;
  return WaitForTrap(&marker) && !marker;
}

uint64_t ClientProcess::Steps(uint64_t limit) {
  uint64_t count = 0;
  while (count < limit && Step()) ++count;
  return count;
}

void ClientProcess::RunOn() { ptrace(PTRACE_CONT, pid_, nullptr, nullptr); }

bool ClientProcess::WaitForEnd() {
  bool marker = false;
  return WaitForTrap(&marker) && marker;
}

void ClientProcess::Detach(bool stopped) {
  const long signal = stopped ? SIGSTOP : 0;
  ptrace(PTRACE_DETACH, pid_, nullptr, reinterpret_cast<void*>(signal));
  traced_ = false;
  if (!stopped) return;
  // Stopped for everybody to see, before the test goes on.
  for (int status = 0; waitpid(pid_, &status, __WALL | WUNTRACED) == pid_ && !WIFSTOPPED(status);) continue;
}

}  // namespace lightning::crash
