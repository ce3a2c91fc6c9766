#include "faults/mutants/mutants.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "faults/cli/commands.h"
#include "faults/mutants/run_for.h"
#include "store/gate/process_key.h"

namespace lightning::faults {
namespace {

namespace fs = std::filesystem;

constexpr const char* kBuild = "build/release";  // below the copy's root
constexpr double kBuildSeconds = 900;
constexpr double kTestSeconds = 60, kEmulatedSeconds = 280;
// Beyond the time that an engine was given: what hangs is told by the engine itself, after a minute.
constexpr double kGrace = 75;

bool IsRoot(const fs::path& path) {
  return fs::exists(path / "CMakeLists.txt") && fs::exists(path / "store/log/transaction.h") &&
         fs::exists(path / "faults/mutants");
}

// The values of "Field: value" among the lines before the patch itself.
std::vector<std::string> Fields(const std::string& text, const std::string& field) {
  std::istringstream lines(text);
  std::vector<std::string> values;
  std::string line;
  while (std::getline(lines, line) && !line.starts_with("--- ")) {
    if (line.starts_with(field + ": ")) values.push_back(line.substr(field.size() + 2));
  }
  return values;
}

Part Words(const std::string& text) {
  std::istringstream in(text);
  Part words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

// A minute of running, the engine that sees most first; where the gate, the kernel's facts or the harness change, what
// looks at those.
std::vector<Part> DefaultParts(const std::string& patch) {
  const auto changes = [&](const char* folder) { return patch.find(std::string("+++ b/") + folder) != patch.npos; };
  std::vector<Part> parts;
  if (changes("faults/")) {
    parts.push_back({"sim_tests", "*"});
    parts.push_back({"faults_tests", "*"});
  }
  if (changes("store/gate/")) {
    parts.push_back({"store_tests", "Gate*"});
    parts.push_back({"stray", "--seconds", "5"});
    parts.push_back({"keys", "pkeys_tests", "*"});
  }
  if (changes("store/kernel/")) parts.push_back({"store_tests", "LinuxKernelTest.*"});
  parts.push_back({"sim", "--seconds", "30"});
  parts.push_back({"step", "--seconds", "20"});
  parts.push_back({"ops", "--seconds", "5"});
  parts.push_back({"kills", "--seconds", "5"});
  return parts;
}

bool IsTests(const Part& part) { return part[0] == "keys" || part[0].ends_with("_tests"); }

std::string TargetOf(const Part& part) {
  if (part[0] == "keys") return part.size() > 1 ? part[1] : "";
  if (IsTests(part)) return part[0];
  return part[0] == "sim" ? "lightning-faults-sim" : "lightning-faults";
}

double SecondsOf(const Part& part) {
  for (size_t i = 0; i + 1 < part.size(); ++i) {
    if (part[i] == "--seconds") return std::strtod(part[i + 1].c_str(), nullptr);
  }
  return 0;
}

// The number before `what`, which may have commas between its thousands; 0 when there is none.
uint64_t NumberBefore(const std::string& text, const std::string& what) {
  const size_t at = text.find(" " + what);
  uint64_t number = 0, power = 1;
  for (size_t i = at == std::string::npos ? 0 : at; i-- > 0;) {
    if (text[i] == ',') continue;
    if (text[i] < '0' || text[i] > '9') break;
    number += power * static_cast<uint64_t>(text[i] - '0');
    power *= 10;
  }
  return number;
}

// The name of the first test that failed; one that had begun when the program died.
std::string FailedTest(const std::string& text, bool died) {
  std::istringstream lines(text);
  std::string begun;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("[  FAILED  ] ")) return line.substr(13, line.find_first_of(" ,", 13) - 13);
    if (line.starts_with("[ RUN      ] ")) begun = line.substr(13);
    if (line.starts_with("[       OK ] ")) begun.clear();
  }
  return died ? begun : "";
}

}  // namespace

std::string SourceRoot() {
  if (IsRoot(fs::current_path())) return fs::current_path();
  return IsRoot(LIGHTNING_SOURCE_DIR) ? LIGHTNING_SOURCE_DIR : "";
}

Mutant ReadMutant(const std::string& path) {
  const std::string text = ReadWholeFile(path);
  if (text.empty()) throw std::runtime_error(path + " cannot be read, or is empty");
  Mutant mutant;
  mutant.name = fs::path(path).stem();
  mutant.patch = fs::absolute(path);
  for (const std::string& value : Fields(text, "Rule")) mutant.rule = value;
  for (const std::string& value : Fields(text, "Class")) mutant.kind = value;
  for (const std::string& value : Fields(text, "Part")) mutant.parts.push_back(Words(value));
  if (mutant.parts.empty()) mutant.parts = DefaultParts(text);
  return mutant;
}

std::vector<Mutant> ListMutants(const std::string& root) {
  std::vector<Mutant> mutants;
  for (const auto& entry : fs::directory_iterator(fs::path(root) / "faults/mutants")) {
    if (entry.path().extension() != ".patch") continue;
    Mutant mutant = ReadMutant(entry.path());
    if (mutant.rule.empty() || mutant.kind.empty())
      throw std::runtime_error(fmt::format("{} does not say its rule and its class", mutant.patch));
    mutants.push_back(std::move(mutant));
  }
  std::sort(mutants.begin(), mutants.end(), [](const Mutant& a, const Mutant& b) { return a.name < b.name; });
  return mutants;
}

Mutant ControlOf(const std::vector<Mutant>& mutants) {
  Mutant control;
  control.name = "no bug";
  for (const Mutant& mutant : mutants) {
    for (const Part& part : mutant.parts) {
      if (std::find(control.parts.begin(), control.parts.end(), part) == control.parts.end())
        control.parts.push_back(part);
    }
  }
  return control;
}

MutantLab::MutantLab(std::string root, uint64_t seed)
    : root_(std::move(root)), lab_(root_ + "/build/mutants"), seed_(seed) {
  fs::create_directories(lab_ + "/tree");
}

// Writes only what differs, so that ninja builds only what the last mutant and this one change.
void MutantLab::CopySources() const {
  const fs::path tree = fs::path(lab_) / "tree";
  std::vector<fs::path> wanted;
  for (const char* file : {"CMakeLists.txt", "CMakePresets.json"}) wanted.emplace_back(file);
  for (const char* folder : kMutantFolders) {
    if (!fs::exists(fs::path(root_) / folder)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(fs::path(root_) / folder)) {
      const std::string extension = entry.path().extension();
      const bool source = extension == ".cc" || extension == ".h" || extension == ".c" || extension == ".txt" ||
                          extension == ".cmake" || extension == ".in";
      if (entry.is_regular_file() && source) wanted.push_back(fs::relative(entry.path(), root_));
    }
  }
  for (const fs::path& file : wanted) {
    const std::string text = ReadWholeFile(fs::path(root_) / file);
    const fs::path copy = tree / file;
    if (fs::exists(copy) && ReadWholeFile(copy) == text) continue;
    fs::create_directories(copy.parent_path());
    std::ofstream(copy, std::ios::binary) << text;
  }
  std::sort(wanted.begin(), wanted.end());
  for (const auto& entry : fs::recursive_directory_iterator(tree)) {
    if (fs::relative(entry.path(), tree).native().starts_with("build/")) continue;
    if (entry.is_regular_file() && !std::binary_search(wanted.begin(), wanted.end(), fs::relative(entry.path(), tree)))
      fs::remove(entry.path());
  }
}

std::string MutantLab::Shell(const std::string& command) const {
  const std::string log = lab_ + "/log";
  if (RunFor({"/bin/sh", "-c", command}, log, kBuildSeconds).status == 0) return "";
  const std::string text = ReadWholeFile(log);
  return fmt::format("`{}` failed:\n{}", command, text.substr(text.size() > 1500 ? text.size() - 1500 : 0));
}

std::string MutantLab::Build(const std::string& target) {
  const bool ccache = system("command -v ccache >/dev/null 2>&1") == 0;
  // The copy's build folder stands where the repository's own does, and paths are hashed relative to the root: so what
  // ci/build has compiled already, and a mutant does not change, comes from the cache.
  const std::string environment =
      fmt::format("export CCACHE_BASEDIR='{}/tree' CCACHE_NOHASHDIR=1; cd '{}/tree'; ", lab_, lab_);
  std::string error;
  if (!configured_)
    error = Shell(environment + fmt::format("cmake -G Ninja -S . -B {} -DCMAKE_BUILD_TYPE=Release "
                                            "-DLIGHTNING_BUILD_TESTS=ON -DLIGHTNING_BUILD_BENCH=OFF "
                                            "-DLIGHTNING_BUILD_HARNESS=ON{}",
                                            kBuild, ccache ? " -DCMAKE_CXX_COMPILER_LAUNCHER=ccache" : ""));
  if (!error.empty()) return error;
  configured_ = true;
  return Shell(environment + fmt::format("cmake --build {} --target {}", kBuild, target));
}

void MutantLab::RunTests(const Part& part, MutantResult* result) const {
  const bool keys = part[0] == "keys";
  const Part tests(part.begin() + (keys ? 1 : 0), part.end());
  if (tests.size() != 2) {
    result->error = "a part is [keys] PROGRAM TESTS, not:";
    for (const std::string& word : part) result->error += " " + word;
    return;
  }
  const bool emulated = keys && !MachineHasKeys();
  std::vector<std::string> command;
  if (emulated) command = {root_ + "/ci/pku-vm", "--timeout", "240", "--writable", lab_, "--"};
  command.push_back(fmt::format("{}/tree/{}/bin/{}", lab_, kBuild, tests[0]));
  command.push_back("--gtest_filter=" + tests[1]);
  command.emplace_back("--gtest_fail_fast");
  const std::string log = fmt::format("{}/{}.{}.log", lab_, result->name, tests[0]);
  const RunOutcome outcome = RunFor(command, log, emulated ? kEmulatedSeconds : kTestSeconds);
  result->seconds += outcome.seconds;
  const std::string text = ReadWholeFile(log);
  if (emulated && (outcome.status == kCannotRun || outcome.status == 124 || outcome.status == 125)) {
    result->cannot_run = true;
    result->error = fmt::format(
        "this machine has no protection keys, and the emulated one ended with status {}, see {}", outcome.status, log);
    return;
  }
  if (outcome.status == 0) {
    if (NumberBefore(text, "test") == 0 || text.find("[  PASSED  ] 0 tests") != std::string::npos)
      result->error = fmt::format("no test ran, see {}", log);
    return;
  }
  result->what = FailedTest(text, outcome.status != 1);
  // One that failed before says enough.
  if (outcome.late && text.find("[  FAILED  ] ") == std::string::npos) {
    result->error = fmt::format("{} did not come to its end, see {}", result->what, log);
    return;
  }
  result->caught = !result->what.empty();
  if (result->caught)
    result->by = tests[0];
  else
    result->error = fmt::format("the tests ended with status {} and none failed, see {}", outcome.status, log);
}

void MutantLab::RunPart(const Part& part, MutantResult* result) const {
  if (IsTests(part)) return RunTests(part, result);
  const bool sim = part[0] == "sim";
  std::vector<std::string> command{fmt::format("{}/tree/{}/bin/{}", lab_, kBuild, TargetOf(part))};
  command.insert(command.end(), part.begin() + (sim ? 1 : 0), part.end());
  for (const std::string& more : {std::string("--seed"), fmt::format("{}", seed_), std::string("--quiet")})
    command.push_back(more);
  // The question is whether it is found; a smaller plan says no more about that.
  const std::string folder = lab_ + "/failures/" + result->name;
  for (const std::string& more : {std::string("--folder"), folder, std::string("--minimise"), std::string("0")})
    command.push_back(more);
  const std::string log = fmt::format("{}/{}.{}.log", lab_, result->name, part[0]);
  const RunOutcome outcome = RunFor(command, log, SecondsOf(part) + kGrace);
  result->seconds += outcome.seconds;
  const std::string text = ReadWholeFile(log);
  result->states += NumberBefore(text, "crash states");
  std::istringstream lines(text);
  for (std::string line; result->by.empty() && std::getline(lines, line);) {
    if (!line.starts_with("FOUND  ")) continue;
    const size_t colon = line.find(':');
    result->by = line.substr(7, colon - 7);
    result->what = line.substr(std::min(line.size(), colon + 2));
  }
  result->caught = outcome.status == kFound && !result->by.empty();
  // A harness that falls over, or does not come back, has found nothing.
  if (!result->caught && outcome.status != 0)
    result->error =
        fmt::format("{} {}, see {}", part[0],
                    outcome.late ? "did not come back" : fmt::format("ended with status {}", outcome.status), log);
}

MutantResult MutantLab::Try(const Mutant& mutant) {
  MutantResult result;
  result.name = mutant.name;
  result.rule = mutant.rule;
  CopySources();
  // git applies it like patch(1) where it does not see the repository around it.
  if (!mutant.patch.empty())
    result.error =
        Shell(fmt::format("GIT_CEILING_DIRECTORIES='{0}' git -C '{0}/tree' apply --verbose '{1}'", lab_, mutant.patch));
  if (!result.error.empty()) result.error = "the patch does not apply: " + result.error;
  for (const Part& part : mutant.parts) {
    if (result.caught || !result.error.empty()) break;
    result.error = Build(TargetOf(part));
    if (result.error.empty()) RunPart(part, &result);
  }
  return result;
}

}  // namespace lightning::faults
