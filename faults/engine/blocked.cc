#include "faults/engine/blocked.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

namespace lightning::faults {
namespace {

std::string ReadLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// The fields after the name of the program, which may hold anything; the first is the state.
std::vector<std::string> StatFields(const std::string& folder) {
  const std::string line = ReadLine(folder + "/stat");
  std::vector<std::string> fields;
  const size_t end = line.rfind(')');
  if (end == std::string::npos) return fields;
  std::istringstream rest(line.substr(end + 1));
  for (std::string field; rest >> field;) fields.push_back(field);
  return fields;
}

std::string WaitsFor(const std::string& folder) {
  unsigned long call = 0, a[4] = {};
  // "running" where it is in no system call.
  if (sscanf(ReadLine(folder + "/syscall").c_str(), "%lu %lx %lx %lx %lx", &call, &a[0], &a[1], &a[2], &a[3]) != 5)
    return "";
  switch (call) {
    case SYS_futex: {
      const unsigned long operation = a[1] & static_cast<unsigned long>(FUTEX_CMD_MASK);
      const bool waits = operation == FUTEX_WAIT || operation == FUTEX_WAIT_BITSET || operation == FUTEX_LOCK_PI;
      return waits && a[3] == 0 ? "a futex, without a timeout" : "";
    }
    case SYS_fcntl:
      return a[1] == F_SETLKW || a[1] == F_OFD_SETLKW ? "a record lock of a file" : "";
    case SYS_flock:
      return "a lock of a file (flock)";
    case SYS_semop:
      return "a System V semaphore";
    default:
      return "";
  }
}

}  // namespace

ProcessUse UseOf(pid_t process) {
  ProcessUse use;
  const std::string folder = fmt::format("/proc/{}", process);
  const std::vector<std::string> fields = StatFields(folder);
  if (fields.size() > 12) {
    const uint64_t ticks = std::stoull(fields[11]) + std::stoull(fields[12]);
    use.processor_ms = ticks * 1000 / static_cast<uint64_t>(sysconf(_SC_CLK_TCK));
  }
  std::ifstream status(folder + "/status");
  for (std::string line; std::getline(status, line);) sscanf(line.c_str(), "voluntary_ctxt_switches: %lu", &use.sleeps);
  return use;
}

std::string BlockedForever(pid_t process) {
  std::string what;
  std::error_code error;
  const std::string tasks = fmt::format("/proc/{}/task", process);
  for (const auto& task : std::filesystem::directory_iterator(tasks, error)) {
    const std::string folder = task.path().string();
    // The state after the system call: the thread has compared the futex and sleeps, or it would not be S.
    what = WaitsFor(folder);
    const std::vector<std::string> fields = StatFields(folder);
    if (what.empty() || fields.empty() || fields[0] != "S") return "";
  }
  return error ? "" : what;
}

}  // namespace lightning::faults
