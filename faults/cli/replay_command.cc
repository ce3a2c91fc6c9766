// `replay`: a failure that some engine left behind, again, alone or under a debugger. `pack`: the same failure as one
// file for a colleague.
#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>

#include "faults/cli/commands.h"
#include "faults/cli/debug_replay.h"
#include "faults/cli/output.h"
#include "faults/cli/run_program.h"
#include "faults/engine/sim_part.h"
#include "faults/engine/step_failure.h"
#include "faults/report/build_id.h"
#include "faults/report/failure_folder.h"

namespace lightning::faults {
namespace {

namespace fs = std::filesystem;

struct ReplayOptions {
  std::string folder;
  bool gdb = false, batch = false, rr = false, vm = false, trace = false;
};

// Whether what was found now is of the class that was found then; the exit status.
int Compare(const std::string& folder, const std::string& before, const std::string& now) {
  if (now.empty()) {
    fmt::print("it does not fail any more\n");
    return kWell;
  }
  if (now == before) {
    fmt::print("the same failure as in {}\n", folder);
  } else {
    fmt::print("another failure than the one in {}\n", folder);
  }
  return kFound;
}

int ReplaySim(const std::string& folder, const nlohmann::json& verdict) {
  std::vector<std::string> arguments = {"--plan",      folder + "/plan.txt",
                                        "--no-keep",   "--quiet",
                                        "--schedules", "1",
                                        "--depth",     std::to_string(verdict.value("depth", 2u))};
  if (!verdict.value("crash_states", true)) arguments.emplace_back("--no-crash-states");
  const SimRun run = RunSimulation(arguments, /*show=*/true);
  if (run.status == kCannotRun) return CannotRun(run.error);
  if (run.status == kUsage) return run.status;
  const std::string now = run.report["failures"].empty() ? "" : run.report["failures"][0].value("class", "");
  return Compare(folder, verdict.value("class", ""), now);
}

int ReplayStep(const std::string& folder, const nlohmann::json& verdict, bool trace) {
  StepReplay replay;
  if (const std::string error = ReadStepReplay(folder, verdict, &replay); !error.empty()) return Usage(error);
  StepEvidence evidence;
  const Findings findings = RunStepReplay(&replay, trace ? &evidence : nullptr);
  fmt::print("{}", evidence.trace);
  if (!findings.empty()) fmt::print("FOUND  step: {}\n", findings[0].what);
  return Compare(folder, verdict.value("class", ""), findings.empty() ? "" : findings[0].kind);
}

// The other parts print a command of this program that repeats the run.
int ReplayCommandOf(const std::string& folder, const nlohmann::json& verdict) {
  const std::string command = verdict.value("command", ""), self = "lightning-faults ";
  if (!command.starts_with(self)) return Usage(folder + "/verdict.json has no command of lightning-faults");
  std::vector<std::string> words = CLI::detail::split_up(command.substr(self.size()));
  words.emplace_back("--no-keep");
  std::vector<char*> argv;
  std::string program = "lightning-faults";
  argv.push_back(program.data());
  for (std::string& word : words) argv.push_back(word.data());
  const int status = Main(static_cast<int>(argv.size()), argv.data());
  if (status != kFound && status != kWell) return status;
  std::string now;
  for (const Finding& finding : status == kFound ? LastFindings() : Findings()) {
    const std::string kind = finding.kind.empty() ? FailureClass(finding.what) : finding.kind;
    if (now.empty() || kind == verdict.value("class", "")) now = kind;
  }
  return Compare(folder, verdict.value("class", ""), now);
}

int ReplayFolder(const ReplayOptions& options, const std::string& folder) {
  nlohmann::json verdict;
  if (const std::string error = ReadVerdict(folder, &verdict); !error.empty()) return Usage(error);
  const std::string engine = verdict.value("engine", "?");
  fmt::print("{}: {}\n", engine, verdict.value("what", "?"));
  fflush(stdout);
  const std::string build = verdict.value("build_id", "");
  if (!build.empty() && build != OwnBuildId() && engine != "sim")
    fmt::print(stderr, "another build found it: {}, and this is {}; its instructions may stand elsewhere\n", build,
               OwnBuildId());
  if (options.trace && engine != "step") return Usage("--trace goes with failures of the engine step");
  if (options.vm) {
    const int status = ReplayInMachine(folder, verdict);
    if (status != kWell) return status;
    return options.gdb ? ReplayInMachineInGdb(folder, verdict, options.batch) : kFound;
  }
  if (options.gdb) return ReplayInGdb(folder, verdict, options.batch);
  if (options.rr) return ReplayInRr(folder);
  if (engine == "sim") return ReplaySim(folder, verdict);
  if (engine == "step") return ReplayStep(folder, verdict, options.trace);
  return ReplayCommandOf(folder, verdict);
}

constexpr const char* kSuffix = ".tar.gz";

// A pack is opened beside nothing of the user's, and gone afterwards.
int ReplayPack(const ReplayOptions& options) {
  std::string place = (fs::temp_directory_path() / "lightning-replay.XXXXXX").string();
  if (mkdtemp(place.data()) == nullptr) return Usage("no folder can be made for " + options.folder);
  const int opened =
      RunProgram({"tar", "--extract", "--gzip", "--no-same-owner", "--file", options.folder, "--directory", place});
  int status = opened == 0 ? kWell : Usage(options.folder + " is no pack that tar can open");
  std::string folder;
  if (status == kWell) {
    for (const fs::directory_entry& entry : fs::directory_iterator(place)) {
      if (entry.is_directory()) folder = entry.path().string();
    }
    if (folder.empty()) status = Usage(options.folder + " has no folder of a failure in it");
  }
  if (!folder.empty()) status = ReplayFolder(options, folder);
  std::error_code error;
  fs::remove_all(place, error);
  return status;
}

int Replay(const ReplayOptions& options) {
  if (options.rr && (options.gdb || options.vm)) return Usage("--rr goes without --gdb and --vm");
  if (options.trace && (options.rr || options.gdb || options.vm)) return Usage("--trace goes without the others");
  if (options.batch && !options.gdb) return Usage("--batch goes with --gdb");
  std::error_code error;
  if (fs::is_regular_file(options.folder, error)) {
    if (options.rr || options.vm) return Usage("a recording stays where the failure is: unpack it with tar first");
    return ReplayPack(options);
  }
  return ReplayFolder(options, options.folder);
}

int Pack(std::string folder, std::string file) {
  while (folder.size() > 1 && folder.back() == '/') folder.pop_back();
  nlohmann::json verdict;
  if (const std::string error = ReadVerdict(folder, &verdict); !error.empty()) return Usage(error);
  const fs::path path = fs::absolute(folder).lexically_normal();
  if (file.empty()) file = path.filename().string() + kSuffix;
  // Recordings are large, and belong to the machine that made them.
  const int status = RunProgram({"tar", "--create", "--gzip", "--file", file, "--owner=0", "--group=0", "--sort=name",
                                 "--exclude=rr-*", "--exclude=machine*", "--directory", path.parent_path().string(),
                                 path.filename().string()});
  if (status != 0) return Usage(fmt::format("tar cannot write {}", file));
  fmt::print("{}: {} bytes; plan, images, trace, build {}\n       again: {}\n", file, fs::file_size(file),
             verdict.value("build_id", "?"), ReplayCommand(file));
  return kWell;
}

}  // namespace

void AddReplay(CLI::App& app, Command* command) {
  auto options = std::make_shared<ReplayOptions>();
  CLI::App* replay =
      app.add_subcommand("replay", "Run a failure again that was kept in a folder, or packed into a file");
  replay->add_option("folder", options->folder, "As the failure's last line names it")->required();
  replay->add_flag("--gdb", options->gdb, "In gdb, stopped at the killing instruction");
  replay->add_flag("--batch", options->batch, "With --gdb: print source line, slots, log and locks, and end");
  replay->add_flag("--rr", options->rr,
                   "Record it with rr, where the processor's counters allow, pack the recording, and print the command "
                   "that goes back to the writer of the corrupted word");
  replay->add_flag(
      "--vm", options->vm,
      "Record it in an emulated machine, and replay the recording; with --gdb: in gdb, at the last store to "
      "the corrupted word");
  replay->add_flag("--trace", options->trace,
                   "Print the instructions that led to it, as trace.txt has them, of this run");
  replay->footer(
      "Example: lightning-faults replay lightning-failures/sim-0123456789abcdef\n"
      "Example: lightning-faults replay lightning-failures/step-0123456789abcdef --gdb\n"
      "Example: lightning-faults replay lightning-failures/step-0123456789abcdef --vm --gdb --batch\n"
      "Exit status: 1 when it fails again, 0 when it does not, 77 when a debugger cannot run here.\n"
      "A recording that fails is status 1 too, and said.");
  replay->callback([=] { *command = [=] { return Replay(*options); }; });

  auto folder = std::make_shared<std::string>(), file = std::make_shared<std::string>();
  CLI::App* pack = app.add_subcommand("pack", "Make one file of a failure: plan, images, trace, build-id, versions");
  pack->add_option("folder", *folder, "As the failure's last line names it")->required();
  pack->add_option("--output", *file, "The file; else the folder's name and .tar.gz, here");
  pack->footer("Example: lightning-faults pack lightning-failures/step-0123456789abcdef");
  pack->callback([=] { *command = [=] { return Pack(*folder, *file); }; });
}

}  // namespace lightning::faults
