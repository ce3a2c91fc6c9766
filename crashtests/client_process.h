// A crash-client process under the control of a test: told what to do, killed, stopped, or stepped by ptrace.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace lightning::crash {

class ClientProcess {
 public:
  // Starts crash-client with these arguments. It has not attached yet.
  explicit ClientProcess(std::vector<std::string> arguments);
  ~ClientProcess();  // kills what is left, and reaps it
  ClientProcess(const ClientProcess&) = delete;
  ClientProcess& operator=(const ClientProcess&) = delete;

  pid_t pid() const { return pid_; }
  void Send(const std::string& command);
  // The next line of its output; "no answer" when it died or a minute passed.
  std::string Receive();
  std::string Ask(const std::string& command) {
    Send(command);
    return Receive();
  }

  void Signal(int signal);
  void Kill();  // SIGKILL, and reaps it
  void Wait();  // reaps it, whatever ends it
  bool alive() const { return pid_ > 0; }

  // Traces the process and runs `command` up to the operation's first instruction. False when it did not get there.
  bool StopAtStart(const std::string& command);
  // Executes one instruction of the traced process. False at the operation's end, or when it died.
  bool Step();
  // Steps at most `limit` instructions; returns how many there were.
  uint64_t Steps(uint64_t limit);
  // Lets the traced process run on from where it stands; it stops again at the operation's end.
  void RunOn();
  // Waits for that end. False when it died before.
  bool WaitForEnd();
  // Leaves the traced process to itself, stopped as by SIGSTOP or running on.
  void Detach(bool stopped);

 private:
  bool WaitForTrap(bool* marker);

  pid_t pid_ = -1;
  int to_ = -1, from_ = -1;
  bool traced_ = false;
  std::string buffer_;
};

}  // namespace lightning::crash
