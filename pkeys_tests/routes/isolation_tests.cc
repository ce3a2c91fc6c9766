// isolation-tests: the isolation matrix as a GoogleTest program, one test a row. See kHelp.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "pkeys_tests/routes/arena.h"
#include "pkeys_tests/routes/costs.h"
#include "pkeys_tests/routes/document.h"
#include "pkeys_tests/routes/matrix.h"

namespace lightning::routes {
namespace {

constexpr char kHelp[] =
    R"(isolation-tests: runs the rows of the isolation matrix, each in a child that is judged from this process.

  isolation-tests [--mode MODE] [--sample] [--json FILE] [--emulated] [--weaken HOW [--prove]] [GoogleTest's own options]
  isolation-tests --docs | --list | --costs [FILE]

  --mode MODE    only rows of this mode: keys, mprotect, hidden, none
  --sample       only the rows that every run of the tests has
  --json FILE    writes what was found, one object a row
  --emulated     says that this machine is an emulated one, in the results
  --weaken HOW   plants a weakness in the gate, which the rows must show: open-window, no-protection, silent-act
  --prove        only rows that are stopped, each of which must fail under the weakness, but for those listed as immune
  --docs         prints docs/isolation.md
  --list         prints the names of all rows
  --costs FILE   measures what the gate's operations cost in each mode, and prints them as a table; into FILE, too, where
                 what it has of other modes stays
Exit status: 0 each row came out as expected or was skipped, 1 some did not, 2 wrong usage.
Example: isolation-tests --mode mprotect --gtest_filter='*lock_*'
)";

struct Settings {
  std::string mode, json;
  bool sample = false, emulated = false, prove = false;
  Weakness weakness = Weakness::kNone;
} settings;

nlohmann::ordered_json found = nlohmann::ordered_json::array();

class RowTest : public testing::Test {
 public:
  explicit RowTest(const Row& row) : row_(row) {}
  void TestBody() override {
    if (settings.prove) return ProveIt();
    const Finding finding = RunRow(row_, settings.weakness);
    nlohmann::ordered_json entry = {{"route", row_.route},
                                    {"target", row_.target},
                                    {"context", row_.context},
                                    {"mode", IsolationName(row_.mode)},
                                    {"lane", settings.emulated ? "emulated" : "hardware"},
                                    {"expectation", Name(row_.expectation)},
                                    {"verdict", Name(finding.verdict)}};
    if (!finding.reason.empty()) entry["reason"] = finding.reason;
    entry["test"] = row_.Test();
    entry["seen"] = finding.seen;
    entry["as_expected"] = finding.as_expected;
    found.push_back(std::move(entry));
    RecordProperty("verdict", Name(finding.verdict));
    if (finding.verdict == Verdict::kSkipped) GTEST_SKIP() << finding.reason;
    EXPECT_TRUE(finding.as_expected) << "expected " << Name(row_.expectation) << ", and it " << Name(finding.verdict)
                                     << ": " << finding.reason << "\nseen: " << finding.seen;
  }

 private:
  void ProveIt() {
    const Finding finding = Prove(row_, settings.weakness);
    const char* const immune = Immune(row_, settings.weakness);
    found.push_back({{"test", row_.Test()},
                     {"weakness", Name(settings.weakness)},
                     {"skipped", finding.verdict == Verdict::kSkipped},
                     {"immune", immune == nullptr ? "" : immune},
                     {"as_expected", finding.as_expected},
                     {"reason", finding.reason}});
    if (finding.verdict == Verdict::kSkipped) GTEST_SKIP() << finding.reason;
    EXPECT_TRUE(finding.as_expected) << finding.reason;
  }

  const Row& row_;
};

[[noreturn]] void WrongUsage(const char* what) {
  fprintf(stderr, "isolation-tests: %s (see --help)\n", what);
  exit(2);
}

Weakness ParseWeakness(const char* name) {
  for (const Weakness weakness : {Weakness::kOpenWindow, Weakness::kNoProtection, Weakness::kSilentAct}) {
    if (strcmp(Name(weakness), name) == 0) return weakness;
  }
  WrongUsage("no such weakness");
}

void ParseArguments(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const auto value = [&]() -> const char* {
      if (++i >= argc) WrongUsage((argument + " needs a value").c_str());
      return argv[i];
    };
    Isolation ignored;
    if (argument == "--help" || argument == "-h") {
      fputs(kHelp, stdout);
      exit(0);
    } else if (argument == "--docs") {
      fputs(Document().c_str(), stdout);
      exit(0);
    } else if (argument == "--costs") {
      const std::vector<Cost> costs = MeasureCosts();
      fputs((CostsTable(costs) + "\n" + CostsMachines(costs)).c_str(), stdout);
      if (i + 1 < argc && !WriteCosts(argv[i + 1], costs)) WrongUsage("the file for --costs cannot be written");
      exit(0);
    } else if (argument == "--list") {
      for (const Row& row : Matrix()) puts(row.Test().c_str());
      exit(0);
    } else if (argument == "--mode") {
      settings.mode = value();
      if (!ParseIsolation(settings.mode.c_str(), &ignored)) WrongUsage("no such mode");
    } else if (argument == "--json") {
      settings.json = value();
    } else if (argument == "--weaken") {
      settings.weakness = ParseWeakness(value());
    } else if (argument == "--sample") {
      settings.sample = true;
    } else if (argument == "--prove") {
      settings.prove = true;
    } else if (argument == "--emulated") {
      settings.emulated = true;
    } else {
      WrongUsage(("unknown option " + argument).c_str());
    }
  }
  if (settings.prove && settings.weakness == Weakness::kNone) WrongUsage("--prove needs --weaken");
}

void RegisterRows() {
  for (const Row& row : Matrix()) {
    if (!settings.mode.empty() && settings.mode != IsolationName(row.mode)) continue;
    if (settings.sample && !row.sample) continue;
    if (settings.prove && row.expectation != Expectation::kStopped) continue;
    testing::RegisterTest(row.Suite().c_str(), row.Name().c_str(), nullptr, nullptr, __FILE__, __LINE__,
                          [&row]() -> RowTest* { return new RowTest(row); });
  }
}

}  // namespace
}  // namespace lightning::routes

int main(int argc, char** argv) {
  using namespace lightning::routes;
  if (argc == 5 && strcmp(argv[1], "--store-after-exec") == 0)
    return StoreAfterExec(strtoull(argv[2], nullptr, 10), argv[3], strtoull(argv[4], nullptr, 10));
  if (argc > 1 && (strcmp(argv[1], "--help") == 0)) ParseArguments(argc, argv);
  testing::InitGoogleTest(&argc, argv);
  ParseArguments(argc, argv);
  RegisterRows();
  const int status = RUN_ALL_TESTS();
  if (!settings.json.empty()) {
    FILE* const file = fopen(settings.json.c_str(), "w");
    if (file == nullptr) WrongUsage("the file for --json cannot be written");
    fputs((found.dump(1) + "\n").c_str(), file);
    fclose(file);
  }
  return status;
}
