#include "faults/engine/cross_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>
#include <vector>

#include "faults/engine/sim_part.h"
#include "faults/engine/step_engine.h"
#include "faults/engine/tracee.h"
#include "faults/engine/victim.h"
#include "faults/report/line_table.h"
#include "faults/report/progress.h"
#include "faults/report/step_record.h"

namespace lightning::faults {
namespace {

constexpr uint32_t kNearCode = 256;  // bytes of code

// The store itself is often a line of <atomic> that was inlined; then the last line of the store's sources before it.
std::string LineOf(const LineTable& table, uint32_t address) {
  if (address == StepPoint::kElsewhere) return "in a library";
  for (uint32_t back = 0; back <= std::min(kNearCode, address); ++back) {
    std::string lines;
    for (const SourcePlace& place : table.At(address - back))
      lines += fmt::format("{}{}:{}", lines.empty() ? "" : ", ", table.files()[place.file], place.line);
    if (!lines.empty()) return lines;
  }
  return "of no source line";
}

void AddStored(const SimRun& run, std::set<WordPlace>* hooked) {
  if (!run.report.contains("stored")) return;
  for (const nlohmann::json& name : run.report["stored"]) {
    if (const auto place = ParsePlace(name.get<std::string>())) hooked->insert(*place);
  }
}

// What the simulation stores to when it runs the very plan that was stepped: for words that only some plans reach, such
// as those of a bucket that overflows.
void AddStepped(const std::string& command, std::set<WordPlace>* hooked) {
  std::istringstream in(command);
  std::string word, op, file;
  uint64_t seed = 0;
  while (in >> word) {
    if (word == "--op") in >> op;
    if (word == "--seed") in >> seed;
    if (word == "--plan") in >> file;
  }
  PlanFile named;
  if (!op.empty() && named.Write(NamedRun(op, seed).plan).empty()) file = named.path();
  if (file.empty()) return;
  AddStored(RunSimulation(
                {"--plan", file, "--schedules", "3", "--no-crash-states", "--no-keep", "--minimise", "0", "--quiet"},
                /*show=*/false),
            hooked);
}

}  // namespace

void CompareWords(const ChangedWords& stepped, const std::set<WordPlace>& hooked, const std::string& program,
                  Findings* findings) {
  std::vector<WordPlace> missing;
  for (const auto& [place, sighting] : stepped.all()) {
    if (!hooked.contains(place)) missing.push_back(place);
  }
  if (missing.empty()) return;
  std::sort(missing.begin(), missing.end());
  std::string error;
  const LineTable table = LineTable::Load(program, &error);
  for (const WordPlace place : missing) {
    const ChangedWords::Sighting& its = stepped.all().at(place);
    findings->push_back(
        {"cross",
         fmt::format("{} (address {:#x} in the segment) was changed by the instruction at {:#x} ({}), and the "
                     "simulation decides about no store to such a word ({}): a hook is missing",
                     its.word, its.offset, its.address, LineOf(table, its.address), PlaceName(place)),
         its.command});
  }
}

CrossCheck CrossCheckWords(const ChangedWords& stepped, Findings* findings) {
  CrossCheck check;
  const Clock::time_point begin = Clock::now();
  const SimRun run = RunSimulation({"--seed", "1", "--schedules", "4000", "--seconds", "120", "--no-crash-states",
                                    "--no-keep", "--minimise", "0", "--quiet"},
                                   /*show=*/false);
  check.seconds = SecondsSince(begin);
  check.stepped = stepped.all().size();
  if (run.status == 77) {
    check.cannot_run = run.error;
    return check;
  }
  std::set<WordPlace> hooked;
  AddStored(run, &hooked);
  std::set<std::string> again;
  for (const auto& [place, sighting] : stepped.all()) {
    if (!hooked.contains(place)) again.insert(sighting.command);
  }
  for (const std::string& command : again) AddStepped(command, &hooked);
  check.hooked = hooked.size();
  if (run.status != 0) {
    // Its words are not complete then: nothing can be compared.
    const nlohmann::json failures = run.report.value("failures", nlohmann::json::array());
    findings->push_back({"cross", failures.empty() ? run.error : failures[0].value("what", ""),
                         "lightning-faults-sim --seed 1 --schedules 4000 --no-crash-states"});
    return check;
  }
  CompareWords(stepped, hooked, VictimProgram(), findings);
  return check;
}

}  // namespace lightning::faults
