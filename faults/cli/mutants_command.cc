#include "faults/cli/mutants_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "faults/cli/commands.h"
#include "faults/cli/output.h"
#include "faults/model/random.h"
#include "faults/report/progress.h"

namespace lightning::faults {
namespace {

struct MutantOptions {
  std::vector<std::string> only;
  std::string patch, json;
  uint64_t seed = 1, sample = 0;
  bool control = false, no_control = false, quiet = false;
};

constexpr int kControls = 3;

void PrintHead() {
  fmt::print("\n{:<32} {:<7} {:>8} {:>12}  {}\n", "planted bug", "caught", "seconds", "states", "by");
}

void PrintRow(const MutantResult& result) {
  const char* const caught = result.caught ? "yes" : result.cannot_run ? "-" : "NO";
  std::string by = result.caught ? result.by + ": " + result.what : result.error;
  fmt::print("{:<32} {:<7} {:>8.1f} {:>12}  {}\n", result.name, caught, result.seconds, result.states, by);
  fflush(stdout);
}

int TryAll(MutantLab* lab, const std::vector<Mutant>& mutants, bool quiet, std::vector<MutantResult>* results) {
  Progress progress("mutants", quiet);
  PrintHead();
  for (const Mutant& mutant : mutants) {
    progress.Show(mutant.name);
    fflush(stdout);
    results->push_back(lab->Try(mutant));
    progress.Clear();
    PrintRow(results->back());
  }
  const auto count = [&](auto is) { return std::count_if(results->begin(), results->end(), is); };
  const auto caught = count([](const MutantResult& r) { return r.caught; });
  const auto untried = count([](const MutantResult& r) { return r.cannot_run; });
  fmt::print("{} of {} were caught", caught, results->size());
  if (untried != 0) fmt::print(", {} cannot be tried on this machine", untried);
  fmt::print("\n\n");
  if (caught == static_cast<ptrdiff_t>(results->size())) return kWell;
  return caught + untried == static_cast<ptrdiff_t>(results->size()) ? kCannotRun : kFound;
}

// Whether the sources as they are pass what is to catch the mutants.
int RunControl(const std::string& root, const std::vector<Mutant>& mutants, uint64_t seed, int times) {
  Mutant control = ControlOf(mutants);
  for (int i = 0; i < times; ++i) {
    MutantLab lab(root, seed + static_cast<uint64_t>(i));
    const MutantResult result = lab.Try(control);
    if (result.caught) {
      fmt::print("FOUND  control, seed {}: {}: {}\n", seed + static_cast<uint64_t>(i), result.by, result.what);
      return kFound;
    }
    if (!result.error.empty() && !result.cannot_run) {
      fmt::print("FOUND  control, seed {}: {}\n", seed + static_cast<uint64_t>(i), result.error);
      return kFound;
    }
    fmt::print("without a bug, seed {}: nothing was found in {:.1f} s, {} crash states{}\n",
               seed + static_cast<uint64_t>(i), result.seconds, result.states,
               result.cannot_run ? " (" + result.error + ")" : "");
    fflush(stdout);
  }
  return kWell;
}

std::vector<Mutant> Choose(std::vector<Mutant> all, const MutantOptions& options) {
  if (!options.patch.empty()) return {ReadMutant(options.patch)};
  if (!options.only.empty())
    std::erase_if(all, [&](const Mutant& mutant) {
      return std::find(options.only.begin(), options.only.end(), mutant.name) == options.only.end();
    });
  if (options.sample == 0 || options.sample >= all.size()) return all;
  Random random(MixSeeds(options.seed, 7));
  while (all.size() > options.sample) all.erase(all.begin() + static_cast<std::ptrdiff_t>(random.Below(all.size())));
  return all;
}

int WriteJson(const std::string& path, const std::vector<MutantResult>& results) {
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  for (const MutantResult& r : results) {
    nlohmann::ordered_json its = {{"name", r.name}, {"rule", r.rule},     {"caught", r.caught},
                                  {"by", r.by},     {"states", r.states}, {"seconds", std::round(r.seconds * 10) / 10}};
    if (!r.error.empty()) its["error"] = r.error;
    json.push_back(std::move(its));
  }
  std::ofstream out(path);
  out << json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) << "\n";
  out.close();
  return out ? kWell : Usage("cannot write " + path);
}

int NoSources() { return CannotRun("mutants need the sources; run it from their root"); }

int RunCommand(const MutantOptions& options) {
  const std::string root = SourceRoot();
  if (root.empty()) return NoSources();
  setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);
  const std::vector<Mutant> all = ListMutants(root);
  for (const std::string& name : options.only) {
    if (std::none_of(all.begin(), all.end(), [&](const Mutant& mutant) { return mutant.name == name; }))
      return Usage("no such mutant: " + name);
  }
  const std::vector<Mutant> chosen = Choose(all, options);
  if (options.control || (!options.no_control && options.only.empty())) {
    const int status = RunControl(root, chosen, options.seed, options.control ? kControls : 1);
    if (options.control || status != kWell) return status;
  }
  MutantLab lab(root, options.seed);
  std::vector<MutantResult> results;
  const int status = TryAll(&lab, chosen, options.quiet, &results);
  if (!options.json.empty()) {
    if (const int written = WriteJson(options.json, results); written != kWell) return written;
  }
  return status;
}

}  // namespace

int RunMutants(const std::vector<std::string>& names, uint64_t seed, bool quiet, std::vector<MutantResult>* results) {
  const std::string root = SourceRoot();
  if (root.empty()) return NoSources();
  MutantOptions options;
  options.only = names;
  const std::vector<Mutant> chosen = Choose(ListMutants(root), options);
  if (!names.empty() && chosen.size() != names.size()) return Usage("a mutant is missing");
  MutantLab lab(root, seed);
  return TryAll(&lab, chosen, quiet, results);
}

void AddMutants(CLI::App& app, Command* command) {
  auto options = std::make_shared<MutantOptions>();
  CLI::App* mutants = app.add_subcommand(
      "mutants", "Plant known bugs in a copy of the sources, one at a time, and see which part catches each");
  mutants->add_option("--only", options->only, "Only these, by name, without a control run");
  mutants->add_option("--patch", options->patch, "Only the bug in this file, which need not be in the list")
      ->check(CLI::ExistingFile);
  mutants->add_option("--json", options->json, "Writes what became of each to this file");
  mutants->add_option("--sample", options->sample, "So many of them, as the seed says; 0: all");
  mutants->add_option("--seed", options->seed, "What all parts follow from");
  mutants->add_flag("--control", options->control, "No bug, three seeds: nothing may be found");
  mutants->add_flag("--no-control", options->no_control, "Without the control run that comes first");
  mutants->add_flag("--quiet", options->quiet, "No progress");
  mutants->footer("Example: lightning-faults mutants --only log-after-store undo-forwards --json mutants.json");
  mutants->callback([=] { *command = [=] { return RunCommand(*options); }; });
}

}  // namespace lightning::faults
