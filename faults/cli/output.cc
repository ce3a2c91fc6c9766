#include "faults/cli/output.h"

#include <fmt/format.h>

#include <cstdio>

#include "faults/cli/commands.h"
#include "faults/report/markup.h"
#include "lightning/options.h"
#include "store/gate/process_key.h"

namespace lightning::faults {
namespace {

void Row(const char* part, double seconds, const std::string& text) {
  fmt::print("{:<7}{:>6.1f} s  {}\n", part, seconds, text);
}

Findings last_findings;

}  // namespace

int Usage(const std::string& message) {
  fmt::print(stderr, "lightning-faults: {} (see --help)\n", message);
  return kUsage;
}

int Failed(const std::string& what) {
  fmt::print(stderr, "lightning-faults: failed: {}\n", what);
  return kFound;
}

int CannotRun(const std::string& fact) {
  fmt::print(stderr, "lightning-faults: cannot run here: {}\n", fact);
  return kCannotRun;
}

int FindIsolation(const std::string& mode, Isolation* isolation) {
  if (!ParseIsolation(mode.c_str(), isolation)) return Usage("no such mode: " + mode);
  return *isolation == Isolation::kKeys && !MachineHasKeys() ? CannotRun(kNoKeys) : kWell;
}

void PrintStep(const StepPart& part) {
  const StepFigures& f = part.figures;
  std::string depths;
  for (size_t i = 0; i < f.in_recovery.size(); ++i)
    depths += fmt::format("{}{} at depth {}", i == 0 ? "" : ", ", Thousands(f.in_recovery[i]), i + 1);
  if (!depths.empty()) depths = fmt::format(" and in {} stepped recoveries {}", Thousands(f.recoveries), depths);
  Row("step", part.seconds,
      fmt::format("{} instructions stepped in {} runs; {} crash states, {} distinct{}, each recovered and judged "
                  "({} a second of checking); {} really killed",
                  Thousands(f.instructions), f.runs, Thousands(f.crash_states), Thousands(f.distinct), depths,
                  Thousands(static_cast<uint64_t>(f.checked_per_second())), f.real_kills));
}

void PrintSim(const SimPart& part) {
  if (!part.cannot_run.empty()) return Row("sim", part.seconds, "SKIPPED: " + part.cannot_run);
  Row("sim", part.seconds,
      fmt::format("{} operations in {} schedules of simulated clients, {} killed; {} crash states, {} distinct, each "
                  "recovered and judged",
                  Thousands(part.operations), Thousands(part.schedules), Thousands(part.kills),
                  Thousands(part.crash_states), Thousands(part.distinct)));
}

void PrintCross(const CrossCheck& check) {
  if (!check.cannot_run.empty()) return Row("cross", check.seconds, "SKIPPED: " + check.cannot_run);
  Row("cross", check.seconds,
      fmt::format("{} kinds of control words changed under the step engine, each looked up among the {} that the "
                  "simulation decides about",
                  check.stepped, check.hooked));
}

void PrintOps(const OpsPart& part) {
  Row("ops", part.seconds,
      fmt::format("{} random operations against the model, {} segments ({})", Thousands(part.count), part.episodes,
                  part.modes));
}

void PrintKills(const KillsPart& part) {
  const auto count = [](uint64_t number, const std::string& cannot_run) {
    return cannot_run.empty() ? std::to_string(number) : "SKIPPED (" + cannot_run + ")";
  };
  Row("kills", part.seconds,
      fmt::format(
          "{} processes killed at full speed, {} while they attached or were stopped; {} operations, {} of them "
          "on keys of one's own; {} reads checked, every key's history linearizable; {} stopped, {} continued, "
          "{} forked; recycled pids: {}; segments refused by a full directory: {} ({})",
          part.count, part.odd_moments, Thousands(part.operations), Thousands(part.disjoint), Thousands(part.reads),
          part.stopped, part.continued, part.forked, count(part.recycled_pids, part.cannot_recycle),
          count(part.directory_full, part.cannot_fill), part.modes));
}

void PrintStray(const StrayPart& part) {
  const StrayFigures total = part.total();
  const std::string beside = part.operations == 0 ? ""
                                                  : fmt::format(", {} of them while clients were in {} operations",
                                                                Thousands(total.during), Thousands(part.operations));
  const std::string fired = fmt::format("{} stray stores fired ({} a minute){}: {} faulted, {} hit private memory",
                                        Thousands(total.fired), Thousands(static_cast<uint64_t>(part.per_minute())),
                                        beside, Thousands(total.faulted), Thousands(total.in_private));
  const std::string control = fmt::format("{} fired on purpose through an open door, {} landed ({})",
                                          Thousands(part.control_fired), Thousands(part.control_landed), part.modes);
  Row("stray", part.seconds, fmt::format("{}, {} landed in the segment; {}", fired, Thousands(total.landed), control));
}

void PrintStrayTargets(const StrayPart& part) {
  fmt::print("{:<10}{:>14}{:>14}{:>12}{:>10}{:>24}\n", "", "fired", "faulted", "private", "landed",
             "while a window was open");
  for (size_t i = 0; i < part.targets.size(); ++i) {
    const StrayFigures& its = part.targets[i];
    fmt::print("{:<10}{:>14}{:>14}{:>12}{:>10}{:>24}\n", StrayPart::TargetName(i), Thousands(its.fired),
               Thousands(its.faulted), Thousands(its.in_private), Thousands(its.landed),
               Thousands(its.landed_in_window));
  }
  if (part.died != 0)
    fmt::print("{} of {} processes did not survive what had landed\n", Thousands(part.died), Thousands(part.rounds));
  for (size_t i = 0; i < part.landings.size() && i < 3; ++i) fmt::print("  {}\n", part.landings[i]);
}

const Findings& LastFindings() { return last_findings; }

int PrintFindings(const Findings& findings) {
  last_findings = findings;
  fflush(stdout);
  for (const Finding& finding : findings)
    fmt::print("FOUND  {}: {}\n       again: {}\n", finding.part, finding.what, finding.reproduce);
  if (findings.empty()) fmt::print("nothing was found\n");
  return findings.empty() ? kWell : kFound;
}

}  // namespace lightning::faults
