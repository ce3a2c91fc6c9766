// A kept failure recorded in an emulated machine (ci/pku-vm), replayed from the recording, and in gdb there.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "faults/cli/commands.h"
#include "faults/cli/debug_replay.h"
#include "faults/cli/output.h"
#include "faults/cli/run_program.h"
#include "faults/mutants/mutants.h"
#include "faults/report/failure_folder.h"

namespace lightning::faults {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSeconds = "280";  // a recording alone takes about one minute

struct Recording {
  std::string machine;  // ci/pku-vm
  std::string where;    // the failure's folder
  std::string file;     // the recording; others are called the same and .initrd, .disk, .output, .socket

  std::string output() const { return file + ".output"; }
};

// An error text, or "".
std::string Find(const std::string& folder, Recording* recording) {
  const std::string root = SourceRoot();
  if (root.empty()) return "the emulated machine needs the sources' ci/pku-vm; run it from their root";
  recording->machine = root + "/ci/pku-vm";
  recording->where = fs::absolute(folder).lexically_normal();
  if (recording->where.ends_with('/')) recording->where.pop_back();
  if (recording->where.find('\'') != std::string::npos) return "the folder's name has a quote in it";
  recording->file = recording->where + "/machine";
  return "";
}

std::string SimProgram() { return (fs::path(OwnProgram()).parent_path() / "lightning-faults-sim").string(); }

// The program whose store it was.
std::string Culprit(const nlohmann::json& verdict) {
  if (verdict.value("engine", "") == "sim") return SimProgram();
  return verdict.value("victim", OwnProgram());
}

// What it lacks the machine has said (ci/pku-vm, 77); everything else that went wrong is no skip.
int MachineEnded(int status, const std::string& what) { return status == kCannotRun ? CannotRun(what) : Failed(what); }

int Shell(const std::string& script) { return RunProgram({"sh", "-c", script}); }

// kWell when there is a recording, else a status after a message.
int Record(const Recording& recording, const nlohmann::json& verdict) {
  fmt::print("recording in an emulated machine ...\n");
  std::string with = fmt::format(" --with '{}'", Culprit(verdict));
  for (const char* name : {"plan.txt", "verdict.json"}) {
    if (fs::exists(fs::path(recording.where) / name)) with += fmt::format(" --with '{}/{}'", recording.where, name);
  }
  const char* const trace = verdict.value("engine", "") == "step" ? "--trace " : "";
  const int status =
      Shell(fmt::format("exec '{}' --timeout {} --record '{}'{} -- '{}' replay {}'{}' >'{}' 2>&1", recording.machine,
                        kSeconds, recording.file, with, OwnProgram(), trace, recording.where, recording.output()));
  if (status == kFound) return kWell;
  fmt::print("{}", ReadText(recording.output()));
  for (const char* suffix : {"", ".initrd", ".disk"}) fs::remove(recording.file + suffix);
  return MachineEnded(status, fmt::format("the emulated machine ended with status {}", status));
}

}  // namespace

int ReplayInMachine(const std::string& folder, const nlohmann::json& verdict) {
  Recording recording;
  if (const std::string error = Find(folder, &recording); !error.empty()) return CannotRun(error);
  if (!fs::exists(recording.file + ".initrd")) {
    if (const int status = Record(recording, verdict); status != kWell) return status;
  }
  fmt::print("replaying the recording ...\n");
  const std::string again = recording.output() + ".again";
  const int status = Shell(fmt::format("exec '{}' --timeout {} --replay '{}' >'{}' 2>&1", recording.machine, kSeconds,
                                       recording.file, again));
  const std::string text = ReadText(again);
  fmt::print("{}", text.substr(std::min(text.size(), text.rfind("FOUND"))));  // behind the trace
  if (status != kFound || ReadText(recording.output()) != text)
    return MachineEnded(status, fmt::format("the replay, with status {}, is not what was recorded: see {}", status,
                                            recording.output()));
  fmt::print(
      "the same failure, instruction for instruction, recorded in {}\n"
      "at the last store to the corrupted word, in gdb: {} --vm --gdb\n",
      recording.file, ReplayCommand(folder));
  return kWell;
}

int ReplayInMachineInGdb(const std::string& folder, const nlohmann::json& verdict, bool batch) {
  Recording recording;
  if (const std::string error = Find(folder, &recording); !error.empty()) return CannotRun(error);
  if (!InPath("gdb")) return CannotRun("gdb is not installed (package gdb)");
  const std::string script = GdbScript("recorded_machine.py");
  if (script.empty()) return CannotRun("faults/gdb/recorded_machine.py is not where the sources were");
  const std::string socket = recording.file + ".socket";
  std::string gdb;
  std::vector<std::string> words = GdbCommand(script, batch);
  words.insert(words.end(), {"-ex", fmt::format("lightning-machine \"{}\" \"{}\" \"{}\"", socket, recording.output(),
                                                Culprit(verdict))});
  if (batch) words.insert(words.end(), {"-ex", "lightning-machine-end"});
  for (const std::string& word : words) gdb += fmt::format(" '{}'", word);
  // The machine waits for gdb before its first instruction, and ends with the recording.
  const int status =
      Shell(fmt::format("rm -f '{0}'\n'{1}' --timeout 36000 --replay '{2}' --gdb '{0}' >'{2}.gdb-output' 2>&1 &\n"
                        "until [ -S '{0}' ]; do kill -0 $! || {{ wait $!; exit $?; }}; sleep 0.1; "
                        "done\n{3}\nstatus=$?\nrm -f '{0}'\nexit $status",
                        socket, recording.machine, recording.file, gdb));
  return status == 0 ? kFound : MachineEnded(status, fmt::format("gdb ended with status {}", status));
}

}  // namespace lightning::faults
