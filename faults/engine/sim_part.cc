#include "faults/engine/sim_part.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "faults/engine/parts.h"

extern char** environ;

namespace lightning::faults {
namespace {

// Beside this program, as both the build and the installation put it.
std::string SimProgram() {
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? "lightning-faults-sim" : (self.parent_path() / "lightning-faults-sim").string();
}

// A name of nobody else's; the file does not outlive this.
class TemporaryFile {
 public:
  TemporaryFile() {
    path_ = (std::filesystem::temp_directory_path() / "lightning-sim.XXXXXX").string();
    const int fd = mkstemp(path_.data());
    if (fd >= 0) close(fd);
  }
  ~TemporaryFile() { unlink(path_.c_str()); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace

SimRun RunSimulation(const std::vector<std::string>& arguments, bool show) {
  const TemporaryFile json;
  const std::string program = SimProgram();
  std::vector<std::string> all = {program};
  all.insert(all.end(), arguments.begin(), arguments.end());
  all.insert(all.end(), {"--json", json.path()});
  std::vector<char*> argv;
  for (std::string& argument : all) argv.push_back(argument.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  if (!show) posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  fflush(stdout);
  pid_t pid = 0;
  const int failed = posix_spawn(&pid, program.c_str(), &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  SimRun run;
  if (failed != 0) {
    run.error = fmt::format("{} cannot be started: {}", program, strerror(failed));
    return run;
  }
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  run.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  std::ifstream in(json.path());
  run.report = nlohmann::json::parse(in, nullptr, /*allow_exceptions=*/false);
  if (!run.report.is_object()) {
    run.report = nlohmann::json::object();
    run.error = fmt::format("{} ended with status {} and wrote no report", program, run.status);
  }
  return run;
}

SimPart RunSimPart(uint64_t seed, const Budget& budget, Findings* findings, const std::vector<std::string>& more) {
  std::vector<std::string> arguments = {"--seed", std::to_string(seed), "--seconds",
                                        fmt::format("{:.3f}", budget.seconds)};
  if (budget.quiet) arguments.emplace_back("--quiet");
  arguments.insert(arguments.end(), more.begin(), more.end());
  const SimRun run = RunSimulation(arguments, /*show=*/false);
  SimPart part;
  if (run.status == 77) {
    part.cannot_run = run.error;
    return part;
  }
  if (!run.error.empty()) {
    findings->push_back({"sim", run.error, fmt::format("lightning-faults-sim --seed {}", seed)});
    return part;
  }
  part.operations = run.report.value("operations", uint64_t{0});
  part.schedules = run.report.value("schedules", uint64_t{0});
  part.crash_states = run.report.value("crash_states", uint64_t{0});
  part.distinct = run.report.value("distinct", uint64_t{0});
  part.kills = run.report.value("kills", uint64_t{0});
  part.seconds = run.report.value("seconds", 0.0);
  part.checked_per_second = run.report.value("checked_per_second", 0.0);
  for (const nlohmann::json& failure : run.report["failures"])
    findings->push_back({"sim", failure.value("what", ""), failure.value("replay", ""), failure.value("class", "")});
  return part;
}

}  // namespace lightning::faults
