#include <fmt/format.h>

#include <cstdio>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "faults/check/history_file.h"
#include "faults/check/make_history.h"
#include "faults/check/smallest_part.h"
#include "faults/cli/commands.h"
#include "faults/cli/output.h"
#include "faults/report/history_page.h"
#include "faults/report/history_timeline.h"
#include "faults/report/progress.h"

namespace lightning::faults {
namespace {

using nlohmann::ordered_json;

struct CheckOptions {
  std::string file, html;
  bool json = false;
  double seconds = 60;
  uint64_t states = 0;
};

// For making a violation small; most need a fraction of a second.
constexpr double kShrinkSeconds = 10;

ordered_json OperationJson(const HistoryFile& file, uint32_t index) {
  ordered_json json = ordered_json::parse(WriteOperation(file, file.operations[index]));
  json["line"] = file.lines[index];
  return json;
}

std::string ToJson(const HistoryFile& file, const HistoryVerdict& verdict, const HistoryPicture& picture,
                   double seconds) {
  ordered_json json = {{"verdict", VerdictName(verdict.verdict)},
                       {"operations", file.operations.size()},
                       {"clients", file.clients.size()},
                       {"keys", verdict.keys},
                       {"seconds", seconds},
                       {"states", verdict.states}};
  if (!verdict.failing.empty())
    json["failing_key"] = ordered_json::parse(file.keys.Name(file.operations[verdict.failing[0]].key));
  if (!picture.part.empty()) {
    json["smallest_part"] = ordered_json::array();
    for (const uint32_t i : picture.part) json["smallest_part"].push_back(OperationJson(file, i));
    json["longest_order"] = ordered_json::array();
    for (const uint32_t i : picture.order) json["longest_order"].push_back(file.lines[i]);
    json["stuck"] = file.lines[picture.stuck];
  }
  return json.dump(2) + "\n";
}

// What is shown of an illegal history; nothing of another one.
HistoryPicture Picture(const HistoryFile& file, const std::string& name, const HistoryVerdict& verdict) {
  HistoryPicture picture;
  picture.name = name;
  if (verdict.verdict != Verdict::kIllegal) return picture;
  std::vector<RegisterOperation> its;
  for (const uint32_t i : verdict.failing) its.push_back(file.operations[i]);
  SearchBudget budget;
  budget.seconds = kShrinkSeconds;
  SmallestPart part = FindSmallestPart(its, budget);
  for (const uint32_t i : part.operations) picture.part.push_back(verdict.failing[i]);
  for (const uint32_t i : part.explanation.order) picture.order.push_back(verdict.failing[i]);
  if (!part.operations.empty()) picture.stuck = verdict.failing[part.explanation.stuck];
  picture.value = part.explanation.value;
  picture.key_operations = verdict.failing.size();
  return picture;
}

void PrintVerdict(const HistoryFile& file, const HistoryVerdict& verdict, double seconds) {
  fmt::print("{}: {} operations of {} clients on {} keys, {:.3f} s\n", VerdictName(verdict.verdict),
             file.operations.size(), file.clients.size(), verdict.keys, seconds);
  if (verdict.verdict == Verdict::kUnknown)
    fmt::print("the budget ran out before there was an answer, at key {} ({} operations); see --seconds\n",
               PlainName(file.keys.Name(file.operations[verdict.failing[0]].key)), verdict.failing.size());
}

int RunCheck(const CheckOptions& options) {
  std::ifstream opened;
  const bool standard = options.file == "-";
  if (!standard) opened.open(options.file);
  if (!standard && !opened) return Usage("cannot read " + options.file);
  const std::string name = standard ? "standard input" : options.file;
  HistoryFile file;
  HistoryError error;
  if (!ReadHistory(standard ? std::cin : opened, &file, &error)) {
    std::string where = name;
    if (error.line != 0) where += fmt::format(":{}", error.line);
    if (error.column != 0) where += fmt::format(":{}", error.column);
    fmt::print(stderr, "lightning-faults: {}: {}\n", where, error.what);
    return kUsage;
  }
  SearchBudget budget;
  budget.seconds = options.seconds;
  budget.states = options.states;
  const Clock::time_point begin = Clock::now();
  const HistoryVerdict verdict = CheckHistory(file.operations, budget);
  const double seconds = SecondsSince(begin);
  const HistoryPicture picture = Picture(file, name, verdict);
  if (!options.html.empty()) {
    std::ofstream html(options.html);
    html << HistoryPage(file, verdict, picture);
    html.close();
    if (!html) return Usage("cannot write " + options.html);
  }
  if (options.json) {
    fmt::print("{}", ToJson(file, verdict, picture, seconds));
  } else {
    PrintVerdict(file, verdict, seconds);
    if (!picture.part.empty()) fmt::print("\n{}", HistoryTimeline(file, picture));
  }
  if (verdict.verdict == Verdict::kUnknown) return kUndecided;
  return verdict.verdict == Verdict::kOk ? kWell : kFound;
}

int RunMake(const HistorySettings& settings, const std::string& out) {
  HistoryFile file;
  std::string error;
  if (!MakeHistory(settings, &file, &error)) return Usage(error);
  std::string text;
  for (const RegisterOperation& o : file.operations) text += WriteOperation(file, o);
  if (out == "-") {
    const bool written = fwrite(text.data(), 1, text.size(), stdout) == text.size() && fflush(stdout) == 0;
    return written ? kWell : Usage("cannot write to standard output");
  }
  std::ofstream to(out);
  to << text;
  to.close();
  return to ? kWell : Usage("cannot write " + out);
}

}  // namespace

void AddCheckHistory(CLI::App& app, Command* command) {
  auto options = std::make_shared<CheckOptions>();
  CLI::App* check = app.add_subcommand("check-history", "Judge a recorded history: is it linearizable?");
  check
      ->add_option("FILE", options->file,
                   "One operation a line, as JSON (docs/history-format.md); - for standard input")
      ->required();
  check->add_flag("--json", options->json, "Prints one JSON object");
  check->add_option("--html", options->html, "Writes a page that shows the verdict to this file");
  check->add_option("--seconds", options->seconds, "After that the verdict is unknown")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  check->add_option("--states", options->states, "After so many configurations the verdict is unknown")
      ->check(CLI::PositiveNumber);
  check->footer(
      "Exit status: 0 linearizable, 1 not, 3 unknown, 2 wrong usage or not a history.\n"
      "Example: lightning-faults check-history history.jsonl --html violation.html");
  check->callback([=] { *command = [=] { return RunCheck(*options); }; });
}

void AddMakeHistory(CLI::App& app, Command* command) {
  auto settings = std::make_shared<HistorySettings>();
  auto out = std::make_shared<std::string>("-");
  CLI::App* make = app.add_subcommand("make-history", "Write a history to try check-history on");
  auto count = [&](const char* name, uint64_t* to, const char* help) {
    make->add_option(name, *to, help)->check(CLI::Range(uint64_t{1}, uint64_t{100'000'000}))->capture_default_str();
  };
  count("--operations", &settings->operations, "How many");
  count("--clients", &settings->clients, "How many at a time; one that is killed is followed by another");
  count("--keys", &settings->keys, "How many");
  make->add_option("--seed", settings->seed, "What everything follows from")->capture_default_str();
  make->add_option("--values", settings->values, "Only so many different ones (default: each write has its own)");
  make->add_option("--interrupted-percent", settings->interrupted_percent, "Of the operations: their client was killed")
      ->check(CLI::Range(0, 100))
      ->capture_default_str();
  make->add_option("--plant", settings->plant, fmt::format("Makes it wrong in one place: {}", JoinNames(PlantNames())));
  make->add_option("--out", *out, "Instead of standard output");
  make->footer(
      "Example: lightning-faults make-history --operations 100000 --clients 8 --keys 1000 --seed 1 --plant stale-read");
  make->callback([=] { *command = [=] { return RunMake(*settings, *out); }; });
}

}  // namespace lightning::faults
