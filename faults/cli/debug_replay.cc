#include "faults/cli/debug_replay.h"

#include <fmt/format.h>
#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "faults/cli/commands.h"
#include "faults/cli/output.h"
#include "faults/cli/run_program.h"
#include "faults/engine/step_failure.h"
#include "faults/engine/target_process.h"
#include "faults/mutants/mutants.h"
#include "faults/report/failure_folder.h"

namespace lightning::faults {
namespace {

namespace fs = std::filesystem;

int StepInGdb(const std::string& folder, const nlohmann::json& verdict, const std::string& printers, bool batch) {
  StepReplay replay;
  if (const std::string error = ReadStepReplay(folder, verdict, &replay); !error.empty()) return Usage(error);
  if (RunStepReplay(&replay).empty()) {
    fmt::print("it does not fail any more\n");
    return kWell;
  }
  fmt::print("instruction {} of {}\n", replay.at.back(),
             replay.at.size() == 1 ? "the client that is killed" : "the recoverer that is killed");
  const auto show = [&](Tracee& process, const std::string& path) -> std::string {
    if (std::string error = process.Release(); !error.empty()) return error;
    std::vector<std::string> gdb = GdbCommand(printers, batch);
    gdb.insert(gdb.end(),
               {"-p", std::to_string(process.pid()), "-ex", "handle SIGSTOP nostop noprint nopass", "-ex",
                "lightning segment " + path, "-ex", "echo \\nthe killing instruction:\\n", "-ex", "lightning where"});
    if (batch) {
      gdb.insert(gdb.end(), {"-ex", "echo \\nafter it:\\n", "-ex", "stepi", "-ex", "x/i $pc", "-ex", "lightning all"});
    } else {
      gdb.insert(gdb.end(), {"-ex", "lightning all", "-ex", "lightning help"});
    }
    const int status = RunProgram(gdb);
    return status == 0 ? "" : fmt::format("gdb ended with status {}", status);
  };
  StepEngine engine(replay.isolation);
  const std::string error = engine.StopAt(replay.run, replay.at, show);
  return error.empty() ? kFound : Failed(error);
}

// The simulation is one process: gdb stops it where the failure is noted, behind the clients' last access.
int SimInGdb(const std::string& folder, const nlohmann::json& verdict, const std::string& printers, bool batch) {
  const std::string program = (fs::path(OwnProgram()).parent_path() / "lightning-faults-sim").string();
  std::vector<std::string> gdb = GdbCommand(printers, batch);
  gdb.insert(gdb.end(), {"-ex", "set breakpoint pending on", "-ex", "break lightning::faults::SimEngine::Note", "-ex",
                         "run", "-ex", "backtrace", "-ex", "info args"});
  gdb.insert(gdb.end(), {"--args", program, "--plan", folder + "/plan.txt", "--no-keep", "--quiet", "--schedules", "1",
                         "--depth", std::to_string(verdict.value("depth", 2u))});
  if (!verdict.value("crash_states", true)) gdb.emplace_back("--no-crash-states");
  const int status = RunProgram(gdb);
  return status == 0 ? kFound : Failed(fmt::format("gdb ended with status {}", status));
}

int PerfEvent(uint32_t type, uint64_t config) {
  perf_event_attr attributes = {};
  attributes.size = sizeof attributes;
  attributes.type = type;
  attributes.config = config;
  attributes.exclude_kernel = 1;
  attributes.exclude_hv = 1;
  return static_cast<int>(syscall(SYS_perf_event_open, &attributes, 0, -1, -1, 0));
}

}  // namespace

std::string OwnProgram() {
  std::error_code error;
  return fs::read_symlink("/proc/self/exe", error).string();
}

std::string GdbScript(const std::string& name) {
  std::error_code error;
  const fs::path installed = fs::path(OwnProgram()).parent_path().parent_path() / "share/lightning" / name;
  for (const fs::path& file : {fs::path(SourceRoot()) / "faults/gdb" / name, installed}) {
    if (fs::is_regular_file(file, error)) return file.string();
  }
  return "";
}

std::string ReadText(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

std::vector<std::string> GdbCommand(const std::string& printers, bool batch) {
  // No files of the user's: what is shown is the same for everybody.
  std::vector<std::string> gdb = {
      "gdb", "-q", "-nx", "-iex", "set debuginfod enabled off", "-iex", "set auto-load off", "-iex", "set confirm off"};
  if (batch) gdb.insert(gdb.end(), {"-batch", "-iex", "set width 0", "-iex", "set style enabled off"});
  gdb.insert(gdb.end(), {"-ex", "set pagination off", "-x", printers});
  return gdb;
}

int ReplayInGdb(const std::string& folder, const nlohmann::json& verdict, bool batch) {
  if (!InPath("gdb")) return CannotRun("gdb is not installed (package gdb)");
  const std::string printers = GdbScript("lightning_printers.py");
  if (printers.empty()) return CannotRun("faults/gdb/lightning_printers.py is not where the sources were");
  const std::string engine = verdict.value("engine", "");
  if (!CanTrace()) return CannotRun("this machine lets nobody trace a process (ptrace)");
  if (engine == "step") return StepInGdb(folder, verdict, printers, batch);
  if (engine == "sim") return SimInGdb(folder, verdict, printers, batch);
  return Usage("only failures of the engines step and sim stop at an instruction, not those of " + engine);
}

std::string MissingForRr() {
  const int fd = PerfEvent(PERF_TYPE_HARDWARE, PERF_COUNT_HW_BRANCH_INSTRUCTIONS);
  if (fd < 0) {
    const int error = errno;
    if (error == EACCES || error == EPERM)
      return fmt::format("perf_event_open: {} (kernel.perf_event_paranoid is {}; rr needs 1 or less)", strerror(error),
                         ReadText("/proc/sys/kernel/perf_event_paranoid").substr(0, 2));
    return fmt::format("the processor's counter of retired branches: perf_event_open: {}", strerror(error));
  }
  // Some virtual machines have a counter that opens and does not count.
  uint64_t count = 0;
  for (int i = 0; i < 10'000; ++i) asm volatile("" ::: "memory");
  const bool counted = read(fd, &count, sizeof count) == sizeof count && count >= 1'000;
  close(fd);
  return counted ? "" : fmt::format("the processor's counter of retired branches opens and counts {}", count);
}

int ReplayInRr(const std::string& folder) {
  const std::string other = "instead: " + ReplayCommand(folder) + " --vm";
  if (const std::string missing = MissingForRr(); !missing.empty())
    return CannotRun(fmt::format("rr needs {}\n{}", missing, other));
  if (!InPath("rr")) return CannotRun("rr is not installed (package rr)\n" + other);
  const std::string steps = GdbScript("rr_steps.py");
  if (steps.empty()) return CannotRun("faults/gdb/rr_steps.py is not where the sources were");
  std::string trace;
  for (int number = 1; trace.empty() || fs::exists(trace); ++number) trace = fmt::format("{}/rr-{}", folder, number);
  const int status = RunProgram({"rr", "record", "--output-trace-dir", trace, OwnProgram(), "replay", folder});
  if (status != kFound && status != kWell) {
    std::error_code error;
    fs::remove_all(trace, error);  // half a recording
    return Failed(fmt::format("rr record ended with status {}", status));
  }
  fmt::print("recorded: {}\n", trace);
  fflush(stdout);
  if (status == kWell) return status;  // nothing to go back from
  const int found = RunProgram({"python3", steps, folder});
  return found == 0 ? kFound : Failed(fmt::format("{} ended with status {}\nagain: rr replay {}", steps, found, trace));
}

}  // namespace lightning::faults
