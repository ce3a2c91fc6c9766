// From an address in a process to what stands there in the source.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

struct Dwfl;

namespace lightning::faults {

// For many addresses of one process: its debug information is opened once, at the first. The process must still be
// there, and still have the same program mapped.
class SourceLines {
 public:
  explicit SourceLines(pid_t process);
  // Of a file that is not running: addresses as they stand in it. "" for what its debug information does not name.
  explicit SourceLines(const std::string& file);
  ~SourceLines();
  SourceLines(const SourceLines&) = delete;
  SourceLines& operator=(const SourceLines&) = delete;
  // As SourceLine().
  const std::string& At(uint64_t address);
  // The files of our own that made it: where it stands, where that was inlined, and so on; at last the one that was
  // compiled. Empty without debug information.
  std::vector<std::string> FilesAt(uint64_t address);

 private:
  Dwfl* dwfl_ = nullptr;
  bool offline_ = false;
  uint64_t bias_ = 0;  // from an address in the file to the one that libdwfl gave it
  std::unordered_map<uint64_t, std::string> known_;
};

// "function (file:line)" as far as the debug information says. The process must still be there.
std::string SourceLine(pid_t process, uint64_t address);

// The same for the innermost caller of where a process stopped under ptrace by the calling thread stands, whose code
// comes from the file `module`; "" when there is none, or when it stands in that file itself.
std::string CallerIn(pid_t process, const std::string& module);

// Where the first thread of a running process stands, the innermost function first: "a (file:line) < b (file:line)". It
// is stopped for that long. "" where it cannot be traced.
std::string StackOf(pid_t process);

}  // namespace lightning::faults
