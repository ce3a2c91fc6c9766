// cli: lines of the input are the arguments of lightning-store, one command after the other (an empty line ends one),
// in this process and on a segment of its own. No command crashes, exit codes are the documented ones, and what it
// prints with --json, a strict parser reads.
//
// What would not end, or would wait, is parsed and not run: --wait, and reap, top and watch without a near end. No
// argument names another folder, and no file grows beyond 2 MiB.
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iostream>

#include "fuzz/strict_json.h"
#include "fuzz/support.h"
#include "store/cli/common.h"

namespace lightning::fuzz {
namespace {

constexpr size_t kMostCommands = 6, kMostArguments = 24;

constexpr double kSoon = 0.01;  // seconds that a command may take by its options
constexpr size_t kInput = 70'000;

// A folder in which the commands work, a standard output that can be read back, and a standard input of some bytes.
class Stage {
 public:
  Stage() {
    char folder[] = "/dev/shm/lightning-fuzz.XXXXXX";
    Require(mkdtemp(folder) != nullptr, "no folder under /dev/shm");
    folder_ = folder;
    path_ = folder_ + "/segment";
    signal(SIGXFSZ, SIG_IGN);
    output_ = memfd_create("output", MFD_CLOEXEC);
    input_ = memfd_create("input", MFD_CLOEXEC);
    Require(output_ >= 0 && input_ >= 0, "no standard output");
    const std::string bytes(kInput, 'i');
    Require(write(input_, bytes.data(), bytes.size()) == static_cast<ssize_t>(kInput), "no standard input");
  }
  ~Stage() {
    Clear();
    rmdir(folder_.c_str());
  }
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;

  const std::string& path() const { return path_; }

  // Runs `body` there; what it printed.
  template <typename Body>
  std::string Capture(Body body) {
    const int here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const int stdout_before = dup(1), stdin_before = dup(0);
    rlimit before{};
    getrlimit(RLIMIT_FSIZE, &before);
    const rlimit small{rlim_t{2} << 20, before.rlim_max};
    Require(ftruncate(output_, 0) == 0 && lseek(output_, 0, SEEK_SET) == 0, "the output cannot be emptied");
    Require(lseek(input_, 0, SEEK_SET) == 0, "the input cannot be read again");
    Require(chdir(folder_.c_str()) == 0, "the folder is gone");
    dup2(output_, 1);
    dup2(input_, 0);
    setrlimit(RLIMIT_FSIZE, &small);
    // Commands that end by a signal block it, for a process that is theirs alone.
    sigset_t signals_before;
    sigprocmask(SIG_SETMASK, nullptr, &signals_before);
    body();
    sigprocmask(SIG_SETMASK, &signals_before, nullptr);
    std::cout.flush();
    setrlimit(RLIMIT_FSIZE, &before);
    dup2(stdout_before, 1);
    dup2(stdin_before, 0);
    close(stdout_before);
    close(stdin_before);
    Require(fchdir(here) == 0, "the folder is gone");
    close(here);
    struct stat info {};
    fstat(output_, &info);
    std::string text(static_cast<size_t>(info.st_size), '\0');
    Require(pread(output_, text.data(), text.size(), 0) == info.st_size, "the output cannot be read");
    return text;
  }

  // Removes all that the commands made.
  void Clear() const {
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) std::filesystem::remove_all(entry.path());
  }

 private:
  std::string folder_, path_;
  int output_ = -1, input_ = -1;
};

bool Contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

// The number that follows an option, or a large one.
double NumberOf(const std::vector<std::string>& arguments, const char* option) {
  const auto at = std::find(arguments.begin(), arguments.end(), option);
  if (at == arguments.end() || at + 1 == arguments.end()) return 1e9;
  char* end = nullptr;
  const double number = std::strtod((at + 1)->c_str(), &end);
  return end != (at + 1)->c_str() && *end == '\0' ? number : 1e9;
}

// Whether the command ends by itself, soon, and touches nothing but its folder.
bool MayRun(const std::vector<std::string>& arguments) {
  const auto has = [&](const char* word) {
    return std::find(arguments.begin(), arguments.end(), word) != arguments.end();
  };
  for (const std::string& argument : arguments) {
    if (Contains(argument, "/") || Contains(argument, "..") || argument.starts_with("--wait")) return false;
    if (argument.starts_with("--harden")) return false;  // for the rest of the process
  }
  if (has("reap") && !has("--once")) return false;
  if (has("watch") && !(NumberOf(arguments, "--timeout") <= kSoon)) return false;
  if (!has("top")) return true;
  const double count = NumberOf(arguments, "--count");  // zero is without end
  return count >= 1 && count <= 2 && NumberOf(arguments, "--interval") <= kSoon;
}

// The exit code, as main() would give it.
int RunOne(const std::vector<std::string>& arguments, const std::string& segment, bool* json) {
  std::vector<const char*> argv = {"lightning-store"};
  for (const std::string& argument : arguments) argv.push_back(argument.c_str());
  try {
    CLI::App app;
    cli::Program program;
    cli::Parse(static_cast<int>(argv.size()), argv.data(), app, program);
    if (!MayRun(arguments)) return 0;
    program.common.segment = segment;
    *json = program.common.json;
    return program.run();
  } catch (const cli::Exit& exit) {
    return exit.code;
  }
}

// `json`: it was run, and with --json.
void CheckOutput(const std::string& output, int code, bool json, bool may_be_silent) {
  Require(code == 0 || code == 1 || code == 2 || code == 77, "an exit code that is not documented");
  if (!json) return;
  Require(code != 0 || may_be_silent || !output.empty(), "a command prints nothing with --json");
  if (output.empty()) return;
  Require(output.back() == '\n', "the output's last line has no end");
  for (size_t begin = 0; begin < output.size();) {
    const size_t end = output.find('\n', begin);
    const std::string error = CheckStrictJson(std::string_view(output).substr(begin, end - begin));
    if (!error.empty()) Fail("a strict parser refuses what --json printed: " + error + "\n" + output);
    begin = end + 1;
  }
}

std::vector<std::vector<std::string>> Commands(std::string_view text) {
  std::vector<std::vector<std::string>> commands(1);
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string argument(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (argument.empty()) {
      if (commands.size() == kMostCommands) break;
      commands.emplace_back();
    } else if (commands.back().size() < kMostArguments) {
      // As exec does, an argument ends at its first zero byte.
      commands.back().emplace_back(argument.c_str());
    }
  }
  return commands;
}

}  // namespace
}  // namespace lightning::fuzz

LIGHTNING_FUZZ(cli) {
  using namespace lightning::fuzz;
  static Stage stage;
  const auto commands = Commands({reinterpret_cast<const char*>(data), size});
  for (const auto& arguments : commands) {
    int code = 0;
    bool json = false;
    const std::string output = stage.Capture([&] { code = RunOne(arguments, stage.path(), &json); });
    // Where nothing happens until its time is over, watch has nothing to say.
    const bool watch = std::find(arguments.begin(), arguments.end(), "watch") != arguments.end();
    CheckOutput(output, code, json, watch);
  }
  stage.Clear();
  CountOperations(commands.size());
  return 0;
}
