#include <fmt/format.h>

#include <fstream>
#include <sstream>

#include "faults/cli/commands.h"
#include "faults/cli/output.h"
#include "faults/cli/report_files.h"
#include "faults/report/coverage.h"

namespace lightning::faults {
namespace {

struct CoverageOptions {
  std::string data = "build/campaign/coverage.json", lcov;
  bool missing = false;
};

void PrintRow(const std::string& name, const CoverageSum& sum) {
  fmt::print("{:<32}{:>8}{:>10}{:>8}{:>9.1f} %\n", name, sum.code, sum.stepped, sum.judged, sum.percent());
}

int RunCoverage(const CoverageOptions& options) {
  std::ifstream file(options.data, std::ios::binary);
  if (!file) return Usage("cannot read " + options.data + "; campaign --data writes it");
  std::ostringstream text;
  text << file.rdbuf();
  const Coverage coverage = CoverageFromJson(text.str());
  if (!coverage.error.empty()) return Usage(options.data + ": " + coverage.error);
  if (!options.lcov.empty()) {
    if (const int status = WriteText(options.lcov, ToLcov(coverage)); status != kWell) return status;
  }
  fmt::print("{:<32}{:>8}{:>10}{:>8}{:>13}\n", "folder", "lines", "executed", "killed", "of executed");
  for (const std::string& folder : Folders(coverage)) PrintRow(folder, Sum(coverage, folder));
  for (const FileCoverage& its : coverage.files) {
    const std::string missed = LineRanges(its, [](const LineCounts& l) { return l.stepped > 0 && l.judged == 0; });
    if (!missed.empty()) fmt::print("not judged: {}: {}\n", its.file, missed);
    const std::string never = LineRanges(its, [](const LineCounts& l) { return l.stepped == 0; });
    if (options.missing && !never.empty()) fmt::print("not executed: {}: {}\n", its.file, never);
  }
  return kWell;
}

}  // namespace

void AddCoverage(CLI::App& app, Command* command) {
  auto options = std::make_shared<CoverageOptions>();
  CLI::App* coverage = app.add_subcommand("coverage", "Lines of the store that a run killed a client on");
  coverage->add_option("--data", options->data, "What campaign --data has written")->capture_default_str();
  coverage->add_option("--lcov", options->lcov, "Writes LCOV's format to this file");
  coverage->add_flag("--missing", options->missing, "Also lists the lines with code that no operation executed");
  coverage->footer(
      "Example: lightning-faults coverage --lcov coverage.lcov && genhtml coverage.lcov -o coverage\n"
      "Run genhtml in the root of the sources. docs/coverage.md says what counts.");
  coverage->callback([=] { *command = [=] { return RunCoverage(*options); }; });
}

}  // namespace lightning::faults
