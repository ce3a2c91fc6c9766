#include "pkeys_tests/routes/document.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "pkeys_tests/routes/costs.h"
#include "pkeys_tests/routes/document_text.h"
#include "pkeys_tests/routes/last_run.h"
#include "pkeys_tests/routes/matrix.h"

namespace lightning::routes {
namespace {

constexpr Isolation kModes[] = {Isolation::kKeys, Isolation::kMprotect, Isolation::kHidden, Isolation::kNone};

std::string Code(const std::string& text) { return "`" + text + "`"; }

const LastRun& Last() {
  static const LastRun run = ReadLastRun();
  return run;
}
bool HasRun(const Row& row) { return !Last().not_run.contains(row.Test()); }

// What a mode's column says of a row.
std::string Word(const Row& row) {
  if (!HasRun(row)) return "*not run*";
  if (row.expectation == Expectation::kStopped) return "stopped";
  if (row.expectation == Expectation::kDetected) return "detected";
  return "**lands**";
}

std::string Counts() {
  std::string text = "| mode | rows | stopped | detected | out of scope | not run |\n|---|---|---|---|---|---|\n";
  for (const Isolation mode : kModes) {
    int counts[4] = {}, all = 0;
    for (const Row& row : Matrix()) {
      if (row.mode != mode) continue;
      ++all;
      ++counts[HasRun(row) ? static_cast<int>(row.expectation) : 3];
    }
    text += "| " + Code(IsolationName(mode)) + " | " + std::to_string(all);
    for (const int count : counts) text += " | " + std::to_string(count);
    text += " |\n";
  }
  return text;
}

// "a, b, c"
std::string Join(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : ", ") + part;
  return text;
}

// A row is known by what is special about it: the context, unless that is the plain one, else the route.
std::string ShortName(const Row& row) {
  constexpr std::string_view kPlain = "main_thread";
  if (!row.context.starts_with(kPlain)) return row.context;
  const std::string suffix = row.context.substr(kPlain.size());
  const bool usual = row.family != "Whatever a store may hit";
  return row.route + (usual ? "" : "/" + row.target) + suffix;
}

// What has one expectation, a line a reason. Modes that have the same routes share it; where they differ, each has its
// own. `most`: how many routes are named; the rest is counted.
std::string ByReason(Expectation expectation, size_t most) {
  std::vector<std::string> order;
  std::map<std::string, std::map<Isolation, std::vector<std::string>>> reasons;
  for (const Row& row : Matrix()) {
    if (row.expectation != expectation || !HasRun(row)) continue;
    auto& modes = reasons[row.why];
    if (modes.empty()) order.push_back(row.why);
    auto& names = modes[row.mode];
    const std::string name = Code(ShortName(row));
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  std::string text = "| routes | modes | why |\n|---|---|---|\n";
  for (const std::string& why : order) {
    std::vector<std::pair<std::vector<std::string>, std::vector<std::string>>> lines;  // routes, modes
    for (const auto& found : reasons[why]) {
      const Isolation mode = found.first;
      const std::vector<std::string>& names = found.second;
      auto line = std::find_if(lines.begin(), lines.end(), [&](const auto& other) { return other.first == names; });
      if (line == lines.end()) line = lines.insert(lines.end(), {names, {}});
      line->second.push_back(Code(IsolationName(mode)));
    }
    for (auto& [names, modes] : lines) {
      const size_t all = names.size();
      names.resize(std::min(all, most));
      text += "| " + Join(names);
      if (all > most) text += " and " + std::to_string(all - most) + " more";
      text += " | " + Join(modes) + " | " + why + " |\n";
    }
  }
  return text;
}

// One line a route, target and context, and a column a mode.
std::string Family(const std::string& family) {
  std::vector<std::string> order;
  std::map<std::string, std::map<Isolation, const Row*>> lines;
  for (const Row& row : Matrix()) {
    if (row.family != family) continue;
    auto& line = lines[row.Name()];
    if (line.empty()) order.push_back(row.Name());
    line[row.mode] = &row;
  }
  std::string text =
      "### " + family + "\n\n| route/target/context | keys | mprotect | hidden | none |\n|---|---|---|---|---|\n";
  for (const std::string& name : order) {
    text += "| " + Code(name);
    for (const Isolation mode : kModes) {
      const auto found = lines[name].find(mode);
      text += " | " + (found == lines[name].end() ? std::string("–") : Word(*found->second));
    }
    text += " |\n";
  }
  return text + "\n";
}

std::string Families() {
  std::string text;
  std::set<std::string> done;
  for (const Row& row : Matrix()) {
    if (done.insert(row.family).second) text += Family(row.family);
  }
  return text;
}

std::string Lanes() {
  std::string text = "| mode | lane | machine | rows |\n|---|---|---|---|\n";
  for (const LastRun::Lane& lane : Last().lanes) {
    text +=
        "| " + Code(lane.mode) + " | " + lane.lane + " | " + lane.machine + " | " + std::to_string(lane.rows) + " |\n";
  }
  text += "\nNot run, so that the table's word for them is a belief:\n\n| row | what was missing |\n|---|---|\n";
  for (const auto& [test, fact] : Last().not_run) text += "| " + Code(test) + " | " + fact + " |\n";
  return text;
}

// Whether the same write is refused when the process is hardened.
bool RefusedWhenHardened(const Row& row) {
  return std::any_of(Matrix().begin(), Matrix().end(), [&](const Row& other) {
    return other.extra == Extra::kHardened && other.expectation == Expectation::kStopped && other.mode == row.mode &&
           other.act == row.act && other.setting == row.setting;
  });
}

// What lands, and what is found after it has landed, in a process that has hardened itself.
std::string Remains() {
  std::string text = "| mode | lands, and nobody is told | found, when it has landed |\n|---|---|---|\n";
  for (const Isolation mode : kModes) {
    std::vector<std::string> names[2];
    for (const Row& row : Matrix()) {
      if (row.mode != mode || row.expectation == Expectation::kStopped || row.extra != Extra::kNone) continue;
      if (row.detector == Detector::kAttach || !row.lands || RefusedWhenHardened(row)) continue;
      auto& among = names[row.expectation == Expectation::kDetected ? 1 : 0];
      const std::string name = Code(ShortName(row));
      if (std::find(among.begin(), among.end(), name) == among.end()) among.push_back(name);
    }
    text += "| " + Code(IsolationName(mode));
    for (const auto& among : names) text += " | " + (among.empty() ? std::string("–") : Join(among));
    text += " |\n";
  }
  return text;
}

std::string Costs() {
  const std::vector<Cost> costs = ReadCosts(LIGHTNING_SOURCE_DIR "/pkeys_tests/routes/costs.json");
  return kCostsText + CostsTable(costs) + kCostsReadingText + CostsMachines(costs) + kCostsEndText;
}

}  // namespace

std::string Document() {
  return std::string(kIntroduction) + Counts() + kRemainsText + Remains() + kHowOftenText + kOutOfScopeText +
         ByReason(Expectation::kOutOfScope, 100) + kDetectedText + ByReason(Expectation::kDetected, 100) +
         kStoppedText + ByReason(Expectation::kStopped, 6) + Costs() + kLanesText + Lanes() + kRowsText + Families();
}

}  // namespace lightning::routes
