// `kill-at`: a program of anybody's, killed at one exact point. The pytest plugin (python/) sweeps with it.
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <nlohmann/json.hpp>

#include "faults/cli/commands.h"
#include "faults/cli/output.h"
#include "faults/engine/kill_at.h"

namespace lightning::faults {
namespace {

struct KillAtOptions {
  uint64_t instructions = 0, system_calls = 0;
  bool count = false;
  KillPoint point;
  std::string report;
  std::vector<std::string> command;
};

// Ends as the program ended: with its status, or by its signal, so that whoever started this sees what it would have
// seen without.
[[noreturn]] void EndLike(int status) {
  fflush(nullptr);
  if (WIFSIGNALED(status)) {
    const rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    signal(WTERMSIG(status), SIG_DFL);
    raise(WTERMSIG(status));
  }
  _exit(WIFEXITED(status) ? WEXITSTATUS(status) : kFound);
}

int RunKillAt(const KillAtOptions& options) {
  KillOutcome outcome;
  // What is for the program's terminal or its parent is not for this one; it ends when the program has.
  for (const int number : {SIGINT, SIGQUIT}) signal(number, SIG_IGN);
  KillAt kill_at(options.command, options.point);
  if (const std::string error = kill_at.Run(&outcome); !error.empty()) {
    fmt::print(stderr, "lightning-faults: {}\n", error);
    return error.starts_with("ptrace") ? kCannotRun : kUsage;
  }
  const int status = outcome.status;
  nlohmann::json report = {{"marker", outcome.marker},
                           {"killed", outcome.killed},
                           {"instructions", outcome.instructions},
                           {"system_calls", outcome.system_calls},
                           {"address", fmt::format("{:#x}", outcome.address)},
                           {"where", outcome.where}};
  if (WIFEXITED(status)) report["status"] = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) report["signal"] = WTERMSIG(status);
  if (!options.report.empty()) {
    std::ofstream out(options.report);
    out << report.dump() << "\n";
    if (!out.flush()) return Usage("cannot write " + options.report);
  }
  if (options.count) fmt::print(stderr, "{}\n", report.dump());
  EndLike(status);
}

}  // namespace

void AddKillAt(CLI::App& app, Command* command) {
  auto options = std::make_shared<KillAtOptions>();
  CLI::App* sub = app.add_subcommand("kill-at", "Run a program of any project and kill it at one exact point");
  KillPoint& point = options->point;
  auto* instructions =
      sub->add_option("--instructions", options->instructions, "Kill it when so many have retired; 0: at the marker");
  auto* calls = sub->add_option("--system-calls", options->system_calls, "Kill it before its n-th takes effect")
                    ->check(CLI::PositiveNumber)
                    ->excludes(instructions);
  auto* count = sub->add_flag("--count", options->count, "Do not kill it: count, and say so on standard error")
                    ->excludes(instructions)
                    ->excludes(calls);
  auto* line = sub->add_option("--after-line", point.after_line, "Count from when it has written this line");
  sub->add_option("--after-map", point.after_map, "Count from when it has mapped this file")->excludes(line);
  sub->add_option("--until-line", point.until_line, "Count until it has written this line")->needs(count);
  sub->add_option("--report", options->report, "Write what happened as one JSON object");
  sub->add_option("command", options->command, "The program and its arguments, after --")->required();
  sub->footer(
      "Example: lightning-faults kill-at --instructions 250 --after-line ready -- ./client store.db put key value\n"
      "It counts the program's first thread, with addresses that are the same in every run.\n"
      "Exit status: that of the program, or its signal; before it began: 2 wrong usage, 77 no ptrace here.");
  sub->callback([=] {
    if (instructions->count() != 0) options->point.instructions = options->instructions;
    if (calls->count() != 0) options->point.system_calls = options->system_calls;
    if (instructions->count() + calls->count() + count->count() == 0)
      throw CLI::ValidationError("kill-at", "one of --instructions, --system-calls, --count is needed");
    *command = [=] { return RunKillAt(*options); };
  });
}

}  // namespace lightning::faults
