#include "faults/mutants/mutants.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "faults/report/progress.h"

namespace lightning::faults {
namespace {

namespace fs = std::filesystem;

constexpr const char* kBuild = "build/release";  // below the copy's root

std::string ReadFile(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

bool IsRoot(const fs::path& path) {
  return fs::exists(path / "CMakeLists.txt") && fs::exists(path / "store/log/transaction.h") &&
         fs::exists(path / "faults/mutants");
}

// The value of "Field: value" among the lines before the patch itself.
std::string Field(const std::string& text, const std::string& field) {
  std::istringstream lines(text);
  std::string line;
  while (std::getline(lines, line) && !line.starts_with("--- ")) {
    if (line.starts_with(field + ": ")) return line.substr(field.size() + 2);
  }
  return "";
}

struct Outcome {
  int status = -1;  // exit status; -1: killed, by a signal or for taking too long
  bool late = false;
};

// Runs a program of its own process group with its output in `log`, for at most so many seconds.
Outcome RunFor(const std::vector<std::string>& command, const std::string& log, double seconds) {
  std::vector<char*> argv;
  for (const std::string& argument : command) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  const pid_t pid = fork();
  if (pid == 0) {
    setpgid(0, 0);
    const int fd = open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    dup2(fd, STDOUT_FILENO);
    dup2(fd, STDERR_FILENO);
    execv(argv[0], argv.data());
    _exit(127);
  }
  Outcome outcome;
  const Clock::time_point begin = Clock::now();
  int status = 0;
  while (waitpid(pid, &status, WNOHANG) == 0) {
    if (SecondsSince(begin) > seconds) {
      kill(-pid, SIGKILL);
      waitpid(pid, &status, 0);
      outcome.late = true;
      return outcome;
    }
    usleep(20'000);
  }
  kill(-pid, SIGKILL);  // what it may have left behind
  if (WIFEXITED(status)) outcome.status = WEXITSTATUS(status);
  return outcome;
}

}  // namespace

std::string SourceRoot() {
  if (IsRoot(fs::current_path())) return fs::current_path();
  return IsRoot(LIGHTNING_SOURCE_DIR) ? LIGHTNING_SOURCE_DIR : "";
}

std::vector<Mutant> ListMutants(const std::string& root) {
  std::vector<Mutant> mutants;
  for (const auto& entry : fs::directory_iterator(fs::path(root) / "faults/mutants")) {
    if (entry.path().extension() != ".patch") continue;
    const std::string text = ReadFile(entry.path());
    Mutant mutant;
    mutant.name = entry.path().stem();
    mutant.patch = entry.path();
    mutant.rule = Field(text, "Rule");
    std::istringstream words(Field(text, "Part"));
    for (std::string word; words >> word;) mutant.part.push_back(word);
    if (mutant.rule.empty() || mutant.part.empty())
      throw std::runtime_error(fmt::format("{} does not say its rule and its part", mutant.patch));
    mutants.push_back(std::move(mutant));
  }
  std::sort(mutants.begin(), mutants.end(), [](const Mutant& a, const Mutant& b) { return a.name < b.name; });
  return mutants;
}

MutantLab::MutantLab(std::string root) : root_(std::move(root)), lab_(root_ + "/build/mutants") {
  fs::create_directories(lab_ + "/tree");
}

// Writes only what differs, so that ninja builds only what the last mutant and this one change.
std::string MutantLab::CopySources() const {
  const fs::path tree = fs::path(lab_) / "tree";
  std::vector<fs::path> wanted;
  for (const char* file : {"CMakeLists.txt", "CMakePresets.json"}) wanted.emplace_back(file);
  for (const char* folder : {"cmake", "store", "faults", "bench", "crashtests", "pkeys_tests"}) {
    if (!fs::exists(fs::path(root_) / folder)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(fs::path(root_) / folder)) {
      const std::string extension = entry.path().extension();
      const bool source = extension == ".cc" || extension == ".h" || extension == ".c" || extension == ".txt" ||
                          extension == ".cmake" || extension == ".in";
      if (entry.is_regular_file() && source) wanted.push_back(fs::relative(entry.path(), root_));
    }
  }
  for (const fs::path& file : wanted) {
    const std::string text = ReadFile(fs::path(root_) / file);
    const fs::path copy = tree / file;
    if (fs::exists(copy) && ReadFile(copy) == text) continue;
    fs::create_directories(copy.parent_path());
    std::ofstream(copy, std::ios::binary) << text;
  }
  std::sort(wanted.begin(), wanted.end());
  for (const auto& entry : fs::recursive_directory_iterator(tree)) {
    if (fs::relative(entry.path(), tree).native().starts_with("build/")) continue;
    if (entry.is_regular_file() && !std::binary_search(wanted.begin(), wanted.end(), fs::relative(entry.path(), tree)))
      fs::remove(entry.path());
  }
  return "";
}

std::string MutantLab::Shell(const std::string& command) const {
  const std::string log = lab_ + "/log";
  if (RunFor({"/bin/sh", "-c", command}, log, 900).status == 0) return "";
  const std::string text = ReadFile(log);
  return fmt::format("`{}` failed:\n{}", command, text.substr(text.size() > 1500 ? text.size() - 1500 : 0));
}

std::string MutantLab::Build() const {
  const bool ccache = system("command -v ccache >/dev/null 2>&1") == 0;
  // The copy's build folder stands where the repository's own does, and paths are hashed relative to the root: so what
  // ci/build has compiled already, and a mutant does not change, comes from the cache.
  const std::string environment =
      fmt::format("export CCACHE_BASEDIR='{}/tree' CCACHE_NOHASHDIR=1; cd '{}/tree'; ", lab_, lab_);
  std::string error = Shell(environment + fmt::format("cmake -G Ninja -S . -B {} -DCMAKE_BUILD_TYPE=Release "
                                                      "-DLIGHTNING_BUILD_TESTS=OFF -DLIGHTNING_BUILD_BENCH=OFF "
                                                      "-DLIGHTNING_BUILD_HARNESS=ON{}",
                                                      kBuild, ccache ? " -DCMAKE_CXX_COMPILER_LAUNCHER=ccache" : ""));
  if (error.empty()) error = Shell(environment + fmt::format("cmake --build {} --target lightning-faults", kBuild));
  return error;
}

MutantResult MutantLab::Try(const Mutant& mutant, double seconds) {
  MutantResult result;
  result.name = mutant.name;
  result.rule = mutant.rule;
  result.error = CopySources();
  // git applies it like patch(1) where it does not see the repository around it.
  if (result.error.empty())
    result.error =
        Shell(fmt::format("GIT_CEILING_DIRECTORIES='{0}' git -C '{0}/tree' apply --verbose '{1}'", lab_, mutant.patch));
  if (result.error.empty()) result.error = Build();
  if (!result.error.empty()) return result;
  std::vector<std::string> command{fmt::format("{}/tree/{}/bin/lightning-faults", lab_, kBuild)};
  command.insert(command.end(), mutant.part.begin(), mutant.part.end());
  command.emplace_back("--quiet");
  const std::string log = fmt::format("{}/{}.log", lab_, mutant.name);
  const Clock::time_point begin = Clock::now();
  const Outcome outcome = RunFor(command, log, seconds);
  result.seconds = SecondsSince(begin);
  std::istringstream lines(ReadFile(log));
  for (std::string line; result.by.empty() && std::getline(lines, line);) {
    if (!line.starts_with("FOUND  ")) continue;
    const size_t colon = line.find(':');
    result.by = line.substr(7, colon - 7);
    result.what = line.substr(std::min(line.size(), colon + 2));
  }
  result.caught = outcome.status == 1 && !result.by.empty();
  if (!result.caught && !outcome.late && outcome.status != 0)
    result.error = fmt::format("the run ended with status {}, see {}", outcome.status, log);
  return result;
}

}  // namespace lightning::faults
