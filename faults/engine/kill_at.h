// Any program under ptrace, killed at one exact point: so many instructions, or before its n-th system call, after a
// marker that itself can be seen from outside. Unlike Tracee and Stepper it knows nothing about the store: the program
// keeps its environment, its streams and its signals.
#pragma once

#include <sys/user.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace lightning::faults {

struct KillPoint {
  std::optional<uint64_t> instructions;  // kill after so many have retired; zero: at the marker
  std::optional<uint64_t> system_calls;  // kill before the n-th takes effect; from 1
  // What counting begins with: the return of the write that completed this line of standard output, or of the first
  // mmap of this file. Neither: the program's first instruction.
  std::string after_line, after_map;
  // Without a point: where counting ends. Empty: at the program's end.
  std::string until_line;
};

struct KillOutcome {
  bool marker = false, killed = false;
  uint64_t instructions = 0;  // since the marker; while the point counts instructions, or there is none
  uint64_t system_calls = 0;  // since the marker; while the point counts system calls, or there is none
  uint64_t address = 0;       // of the instruction that would have been next
  std::string where;          // the same in the source, as far as the debug information says
  int status = 0;             // as waitpid has it
};

// Lines that a process writes to its standard output, put together from the writes themselves.
class OutputLines {
 public:
  // One write of the stopped process. True when it completed `line`.
  bool Add(int process, const user_regs_struct& after, const std::string& line);

 private:
  std::string partial_;
};

class KillAt {
 public:
  // `command`: a program, looked for in PATH, and its arguments. Addresses do not change from run to run, so that the
  // same point is the same place. Only the program's first thread is counted, and only threads of the program die with
  // it: a child that it forked goes on.
  KillAt(std::vector<std::string> command, KillPoint point) : command_(std::move(command)), point_(std::move(point)) {}

  // Until the program was killed or has ended. An error text, or "".
  std::string Run(KillOutcome* outcome);

 private:
  enum class Stop { kStep, kSystemCall, kOther, kEnded };
  std::string Start();
  Stop Next(int request);
  bool RunToMarker();
  bool IsMarker(OutputLines* lines) const;
  void CountInstructions();
  void CountSystemCalls();
  bool AtSystemCall();
  void ReadRegisters();
  void Kill();

  const std::vector<std::string> command_;
  const KillPoint point_;
  KillOutcome* outcome_ = nullptr;
  int pid_ = -1, signal_ = 0;  // the signal that the program is still to get
  user_regs_struct registers_ = {};
};

}  // namespace lightning::faults
