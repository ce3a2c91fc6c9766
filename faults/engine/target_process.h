// A process that runs a target (faults/target/target_host.h): a client of somebody's store, that can be asked, stepped
// and killed.
#pragma once

#include <sys/types.h>
#include <sys/user.h>

#include <map>
#include <string>
#include <vector>

namespace lightning::faults {

using Pairs = std::map<std::string, std::string>;

// A shared object, or a program that speaks the same lines.
struct TargetFile {
  std::string path;  // absolute
  bool program = false;
};

// What a process said to one command. All texts empty: all is well.
struct TargetAnswer {
  std::string error;                    // what the target said went wrong
  std::string died;                     // it ended or was killed by a signal
  std::string hangs;                    // why it can never answer
  std::string undecided;                // it does not answer, and nothing proves that it never will
  Pairs items;                          // of list
  std::vector<std::string> violations;  // of check
  std::vector<std::string> shared;      // of shared: paths
  std::string name;                     // of name
  bool Well() const { return error.empty() && died.empty() && hangs.empty() && undecided.empty(); }
  // The first of the texts.
  const std::string& Trouble() const;
};

// Whether this machine lets a process be traced by its parent at all; some containers do not.
bool CanTrace();

class TargetProcess {
 public:
  TargetProcess() = default;
  ~TargetProcess() { Kill(); }
  TargetProcess(const TargetProcess&) = delete;
  TargetProcess& operator=(const TargetProcess&) = delete;

  // Starts it. What it writes on standard error goes to the file `log`. An error text, or "".
  std::string Start(const TargetFile& file, const std::string& directory, const std::string& log);
  // The same under ptrace, on the caller's processor, with addresses that do not change from run to run.
  std::string StartTraced(const TargetFile& file, const std::string& directory, const std::string& log);

  // Sends a command and waits for the answer. Says that it hangs when every thread of it is blocked in a system call
  // without a timeout, when it has used half a second of processor time for this, or slept 20,000 times: never because
  // of the time on a clock. (After five minutes with none of these the answer is undecided.)
  TargetAnswer Ask(const std::string& command);

  // Traced only. Each returns an error text, or "".
  std::string Send(const std::string& command);  // while it is stopped
  std::string RunToAnswer();                     // until it is about to write its answer, which must be well
  std::string Step();                            // one instruction
  // Until it is about to execute the instruction at `address` for the `times`-th time; it has to before it answers. By
  // a breakpoint: much faster than steps.
  std::string RunTo(uint64_t address, uint64_t times);
  std::string ReadRegisters(user_regs_struct* registers) const;

  // Tells it to end, and waits until it is gone; for one that has detached.
  void Leave();
  // SIGKILL, and waits until it is gone, and its own children with it.
  void Kill();
  pid_t pid() const { return pid_; }

 private:
  std::string Spawn(const TargetFile& file, const std::string& directory, const std::string& log, bool traced);
  std::string AfterStop(int status);
  std::string RunToTrap(bool* answers);
  std::string HowItEnded();
  std::string LastWords() const;

  pid_t pid_ = -1;
  int to_ = -1, from_ = -1;
  int signal_ = 0;  // to hand on when it goes on
  std::string log_, unread_;
};

}  // namespace lightning::faults
