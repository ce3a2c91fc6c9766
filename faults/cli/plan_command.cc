#include <fmt/format.h>

#include <cstdio>
#include <fstream>
#include <iostream>
#include <sstream>

#include "faults/cli/commands.h"
#include "faults/cli/output.h"
#include "faults/plan/expand.h"
#include "faults/plan/plan_text.h"
#include "faults/plan/plan_words.h"
#include "faults/plan/step_plan.h"

namespace lightning::faults {
namespace {

struct PlanOptions {
  std::string file, engine = "sim", scenario;
  uint64_t seed = 1;
  PlanShape shape;
};

int ExpandCommand(PlanOptions options) {
  if (!options.scenario.empty()) {
    if (!IsStepName(options.scenario))
      return Usage("no such scenario: " + options.scenario + " (see lightning-faults step --list)");
    fmt::print("{}", PrintPlan(ScenarioPlan(options.scenario, options.seed)));
    return kWell;
  }
  for (const PlanWord<Engine>& word : kEngineWords) {
    if (word.word != options.engine) continue;
    options.shape.engine = word.value;
    fmt::print("{}", PrintPlan(ExpandPlan(options.seed, options.shape)));
    return kWell;
  }
  return Usage("no such engine: " + options.engine);
}

// `-`: standard input.
bool ReadText(const std::string& file, std::string* text) {
  std::ostringstream all;
  if (file == "-") {
    all << std::cin.rdbuf();
  } else {
    std::ifstream in(file, std::ios::binary);
    if (!in || in.peek() == std::ifstream::traits_type::eof()) {
      // A folder opens and cannot be read; an empty file is a plan without a first line.
      if (!in.is_open() || in.bad()) return false;
    }
    all << in.rdbuf();
  }
  *text = all.str();
  return true;
}

int CheckOrPrint(const std::string& file, bool print) {
  Plan plan;
  const int status = ReadPlan(file, &plan);
  if (status == kWell && print) fmt::print("{}", PrintPlan(plan));
  return status;
}

}  // namespace

int ReadPlan(const std::string& file, Plan* plan) {
  std::string text;
  if (!ReadText(file, &text)) {
    fmt::print(stderr, "{}: cannot be read\n", file);
    return kUsage;
  }
  ParsedPlan parsed = ParsePlan(text);
  if (!parsed) {
    fmt::print(stderr, "{}:{}\n", file, ShowError(parsed.error));
    return kUsage;
  }
  *plan = std::move(*parsed.plan);
  return kWell;
}

void AddPlan(CLI::App& app, Command* command) {
  auto options = std::make_shared<PlanOptions>();
  CLI::App* plan = app.add_subcommand("plan", "Make, check and print plans: what one run does, as text");
  plan->require_subcommand(1);
  plan->footer(
      "Example: lightning-faults plan expand --seed 7 | lightning-faults plan check -\nSee docs/plan-format.md.");

  CLI::App* expand = plan->add_subcommand("expand", "Print the plan that a seed stands for");
  PlanShape& shape = options->shape;
  expand->add_option("--seed", options->seed, "What everything follows from")->required();
  expand->add_option("--scenario", options->scenario,
                     "One of those that `lightning-faults step` runs (step --list); says everything but the seed");
  expand->add_option("--engine", options->engine, "Who is to run it: any, step, sim, real");
  expand->add_option("--clients", shape.clients, "1 to 16")->check(CLI::Range(1, 16));
  expand->add_option("--operations", shape.operations, "Of each client, about")->check(CLI::Range(1, 10'000));
  expand->add_option("--keys", shape.keys, "1 to 26")->check(CLI::Range(1, 26));
  expand->add_option("--kills", shape.kills, "How many clients are killed")->check(CLI::Range(0, 100));
  expand->add_option("--stops", shape.stops, "How many are stopped for a while")->check(CLI::Range(0, 100));
  expand->add_option("--killed-recoverers", shape.killed_recoverers, "How many are killed while they recover")
      ->check(CLI::Range(0, 100));
  expand->add_flag("--eviction", shape.eviction, "A heap so small that puts evict");
  expand->add_flag("--events", shape.events, "Somebody subscribes");
  expand->footer(
      "Example: lightning-faults plan expand --seed 7 --clients 2 --operations 3 --kills 1\n"
      "Example: lightning-faults plan expand --seed 7 --scenario put-heals > heals.plan");
  expand->callback([=] { *command = [=] { return ExpandCommand(*options); }; });

  CLI::App* check = plan->add_subcommand("check", "Say what is wrong with a plan: FILE:LINE:COLUMN: message, status 2");
  check->add_option("FILE", options->file, "A plan; - is standard input")->required();
  check->footer("Example: lightning-faults plan check failed.plan");
  check->callback([=] { *command = [=] { return CheckOrPrint(options->file, /*print=*/false); }; });

  CLI::App* print = plan->add_subcommand("print", "Print a plan in its canonical form");
  print->add_option("FILE", options->file, "A plan; - is standard input")->required();
  print->footer("Example: lightning-faults plan print failed.plan");
  print->callback([=] { *command = [=] { return CheckOrPrint(options->file, /*print=*/true); }; });
}

}  // namespace lightning::faults
