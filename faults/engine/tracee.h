// A process under ptrace: this program's victim, on one processor together with its tracer, with addresses that do not
// change from run to run.
#pragma once

#include <sys/types.h>
#include <sys/user.h>

#include <string>
#include <vector>

namespace lightning::faults {

// The calling thread stays where it is, as do those it starts: a tracer on its tracee's processor makes a step a switch
// and no wake-up across processors.
void PinToCurrentProcessor();

class Tracee {
 public:
  // Starts `program` with an empty environment. An error text, or "".
  std::string Start(const std::string& program, const std::vector<std::string>& arguments);
  Tracee() = default;
  ~Tracee() { Kill(); }
  Tracee(const Tracee&) = delete;
  Tracee& operator=(const Tracee&) = delete;

  // Runs to the next breakpoint instruction. An error text when it ended or died before one.
  std::string RunToMarker();
  // One instruction; `registers()` are those after it. An error text when it died.
  std::string Step();
  const user_regs_struct& registers() const { return registers_; }
  // Lets it go on to its end; its exit status, or -1.
  int Finish();
  // Lets go of it where it stands, stopped as by SIGSTOP: a debugger may attach. Only Kill() is of use afterwards. An
  // error text, or "".
  std::string Release();
  // SIGKILL, and waits until it is gone.
  void Kill();
  pid_t pid() const { return pid_; }

 private:
  std::string AfterWait(int status);

  pid_t pid_ = -1;
  user_regs_struct registers_ = {};
};

// The program that Tracee starts for a victim: lightning-faults itself, or what a test has put in its place.
inline constexpr const char* kOwnProgram = "/proc/self/exe";
const std::string& VictimProgram();
void SetVictimProgram(const std::string& path);

}  // namespace lightning::faults
