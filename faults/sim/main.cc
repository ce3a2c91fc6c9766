// lightning-faults-sim: the simulation engine, a program of its own because it runs the store built with LIGHTNING_SIM.
// `lightning-faults run --engine sim` starts it.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "faults/cli/commands.h"
#include "faults/plan/plan_text.h"
#include "faults/report/failure_folder.h"
#include "faults/sim/minimise.h"
#include "faults/sim/sim_engine.h"

namespace lightning::faults {
namespace {

struct Arguments {
  SimOptions sim;
  std::string plan, memory = "tso", json, folder = "lightning-failures";
  double minimise = 20;
  bool keep = true, no_kills = false, no_crash_states = false;
};

// Smaller, if that can be had in the time.
SimFailure Smaller(const Arguments& arguments, const SimFailure& failure) {
  if (arguments.minimise <= 0) return failure;
  SimOptions alike = arguments.sim;
  alike.crash_states = failure.crash_states;
  const TrySimulation attempt = [&](const Plan& plan) { return FailsAlike(plan, failure.kind, alike); };
  return Minimise(failure, attempt, arguments.minimise);
}

// Everything that shows the failure again, in a folder of its own; the folder's name.
std::string Keep(const Arguments& arguments, const SimFailure& first) {
  const SimFailure failure = Smaller(arguments, first);
  SimEvidence evidence;
  SimOptions again = arguments.sim;
  again.crash_states = failure.crash_states;
  again.plan = failure.plan;
  again.schedules = 1;
  again.quiet = true;
  again.twice = false;
  again.evidence = &evidence;
  SimEngine(again).Run();
  Failure left;
  left.engine = "sim";
  left.kind = failure.kind;
  left.what = failure.what;
  left.command = fmt::format("lightning-faults-sim --seed {}", arguments.sim.seed);
  left.settings = {{"crash_states", failure.crash_states}, {"depth", arguments.sim.depth}};
  left.plan = failure.plan;
  left.found_as = first.plan;
  left.before = std::move(evidence.before);
  left.after = std::move(evidence.after);
  left.trace = std::move(evidence.trace);
  std::string folder;
  const std::string error = LeaveFailure(arguments.folder, left, &folder);
  if (!error.empty()) fmt::print(stderr, "lightning-faults-sim: {}\n", error);
  return folder;
}

int Report(const Arguments& arguments, const SimEngine& engine) {
  const SimFigures& f = engine.figures();
  const uint64_t crash_states = f.counts.crash_states + f.crashes.states;
  fmt::print(
      "sim    {:6.1f} s  {} operations in {} schedules of {} plans ({:.0f} a second where nobody dies); {} crash "
      "states ({:.0f} a second), {} of them distinct, each recovered and judged ({:.0f} a second of checking); {} "
      "killed\n",
      f.seconds, f.counts.operations, f.schedules, f.plans, f.operations_per_second(), crash_states,
      f.crash_states_per_second(), f.crashes.distinct,
      f.crashes.seconds > 0 ? static_cast<double>(f.crashes.distinct) / f.crashes.seconds : 0, f.counts.kills);
  nlohmann::json report = {
      {"engine", "sim"},
      {"seed", arguments.sim.seed},
      {"seconds", f.seconds},
      {"failures", nlohmann::json::array()},
      {"operations", f.counts.operations},
      {"operations_per_second", f.operations_per_second()},
      {"points", f.counts.points},
      {"points_per_second", f.seconds > 0 ? static_cast<double>(f.counts.points) / f.seconds : 0},
      {"plans", f.plans},
      {"schedules", f.schedules},
      {"kills", f.counts.kills},
      {"crash_states", crash_states},
      {"crash_states_per_second", f.crash_states_per_second()},
      {"distinct", f.crashes.distinct},
      {"distinct_by_depth", {f.crashes.by_depth[0], f.crashes.by_depth[1], f.crashes.by_depth[2]}},
      {"checked_per_second", f.crashes.seconds > 0 ? static_cast<double>(f.crashes.distinct) / f.crashes.seconds : 0},
      {"memory", arguments.memory},
  };
  for (const WordPlace place : engine.stored()) report["stored"].push_back(PlaceName(place));
  for (const SimFailure& failure : engine.failures()) {
    const std::string folder = arguments.keep ? Keep(arguments, failure) : "";
    const std::string replay = arguments.keep ? ReplayCommand(folder) : "";
    report["failures"].push_back(
        {{"class", failure.kind}, {"what", failure.what}, {"folder", folder}, {"replay", replay}});
    fmt::print("FOUND  sim: {}\n", failure.what);
    if (arguments.keep) fmt::print("       again: {}\n", replay);
  }
  if (!arguments.json.empty()) {
    std::ofstream out(arguments.json);
    out << report.dump(2) << "\n";
    if (!out) {
      fmt::print(stderr, "{}: cannot be written\n", arguments.json);
      return kUsage;
    }
  }
  if (engine.failures().empty()) fmt::print("nothing was found\n");
  return engine.failures().empty() ? kWell : kFound;
}

int Main(Arguments& arguments) {
  if (arguments.memory != "tso" && arguments.memory != "sc") {
    fmt::print(stderr, "--memory is tso or sc, not {}\n", arguments.memory);
    return kUsage;
  }
  arguments.sim.memory = arguments.memory == "tso" ? Memory::kTso : Memory::kSc;
  arguments.sim.kills = !arguments.no_kills;
  arguments.sim.crash_states = !arguments.no_crash_states;
  if (!arguments.plan.empty()) {
    std::ifstream in(arguments.plan, std::ios::binary);
    if (arguments.plan != "-" && (!in || in.peek() == std::ifstream::traits_type::eof())) {
      fmt::print(stderr, "{}: cannot be read, or is empty\n", arguments.plan);
      return kUsage;
    }
    std::ostringstream text;
    text << (arguments.plan == "-" ? std::cin.rdbuf() : in.rdbuf());
    ParsedPlan parsed = ParsePlan(text.str());
    if (!parsed) {
      fmt::print(stderr, "{}:{}\n", arguments.plan, ShowError(parsed.error));
      return kUsage;
    }
    arguments.memory = parsed.plan->schedule.memory == Memory::kTso ? "tso" : "sc";
    arguments.sim.seed = parsed.plan->seed;
    arguments.sim.plan = std::move(parsed.plan);
  }
  SimEngine engine(arguments.sim);
  engine.Run();
  return Report(arguments, engine);
}

}  // namespace
}  // namespace lightning::faults

int main(int argc, char** argv) {
  using namespace lightning::faults;
  Arguments arguments;
  CLI::App app(
      "lightning-faults-sim runs plans in simulation: clients as fibers, every access to a shared word a point "
      "at which another goes on or somebody dies, memory as x86 has it");
  app.footer(
      "Example: lightning-faults-sim --seed 7 --seconds 30 --json sim.json\n"
      "Exit status: 0 nothing was found, 1 a failure was found, 2 wrong usage.");
  app.add_option("--plan", arguments.plan, "Only this plan (a file, or - for standard input), with its own schedule");
  app.add_option("--seed", arguments.sim.seed, "What all plans and schedules follow from");
  app.add_option("--seconds", arguments.sim.seconds, "How long");
  app.add_option("--schedules", arguments.sim.schedules, "At most so many; 0: as the time allows");
  app.add_option("--operations", arguments.sim.operations, "Of each client; 0: one to six");
  app.add_option("--memory", arguments.memory, "tso: as x86 has it; sc: every store is seen at once");
  app.add_option("--depth", arguments.sim.depth, "Healers that may die in turn")->check(CLI::Range(0, 6));
  app.add_option("--nested-share", arguments.sim.nested_share, "One crash state in so many has its healers killed")
      ->check(CLI::PositiveNumber);
  app.add_flag("--no-kills", arguments.no_kills, "Nobody is killed or stopped while others go on");
  app.add_flag("--no-crash-states", arguments.no_crash_states, "Do not judge what everybody's death would leave");
  app.add_flag("--twice", arguments.sim.twice, "Do each run twice: it must do the same");
  app.add_option("--json", arguments.json, "Write the figures and failures as one object");
  app.add_option("--minimise", arguments.minimise, "Seconds to spend on a smaller plan for a failure; 0: none");
  app.add_option("--folder", arguments.folder, "Where failures are kept, each in a folder of its own");
  app.add_flag("!--no-keep", arguments.keep, "Leave nothing of failures behind");
  app.add_flag("--quiet", arguments.sim.quiet, "No progress");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kWell : kUsage;
  }
  return Main(arguments);
}
