#include <fmt/format.h>

#include <fstream>

#include "faults/audit/binary_audit.h"
#include "faults/cli/commands.h"
#include "faults/cli/output.h"
#include "faults/report/markup.h"

namespace lightning::faults {
namespace {

struct AuditOptions {
  std::string file, json;
  std::vector<std::string> allowed;
  bool strict = false, quiet = false;
};

int RunAudit(const AuditOptions& options) {
  std::string error;
  const std::optional<AuditReport> report = AuditFile(options.file, options.allowed, &error);
  if (!report) return Usage(error);
  if (!options.json.empty()) {
    std::ofstream out(options.json);
    out << AuditToJson(*report).dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) << "\n";
    if (!out.flush()) return Usage("cannot write " + options.json);
  }
  using Verdict = AuditItem::Verdict;
  for (const AuditItem& item : report->items) {
    const bool well = item.verdict == Verdict::kOpens || item.verdict == Verdict::kCloses;
    if (well && options.quiet) continue;
    fmt::print("{:#x}  {:<7} {:<9}  {}\n", item.address, item.instruction, VerdictName(item.verdict),
               item.source.empty() ? item.function : item.source);
    if (!item.reason.empty()) fmt::print("           {}\n", item.reason);
  }
  const uint64_t violations = report->Count(Verdict::kViolation), warnings = report->Count(Verdict::kWarning);
  fmt::print(
      "{}: {} bytes of code, {} functions; the gate opens in {} places and closes in {}; {} allowed by name, {} "
      "warnings, {} violations\n",
      options.file, Thousands(report->code_bytes), Thousands(report->functions), report->Count(Verdict::kOpens),
      report->Count(Verdict::kCloses), report->Count(Verdict::kAllowed), warnings, violations);
  return violations == 0 && (warnings == 0 || !options.strict) ? kWell : kFound;
}

}  // namespace

void AddAudit(CLI::App& app, Command* command) {
  auto options = std::make_shared<AuditOptions>();
  CLI::App* audit = app.add_subcommand(
      "audit", "Every WRPKRU and XRSTOR of a program or library: is it the gate's, and does every path close again?");
  audit->add_option("file", options->file, "A linked program or shared library")->required();
  audit->add_option("--json", options->json, "Writes every such instruction as one object");
  audit->add_option("--allow", options->allowed,
                    "A function that may have its own, by its demangled name (* and ? as in file names)");
  audit->add_flag("--strict", options->strict, "Warnings count as well");
  audit->add_flag("--quiet", options->quiet, "Prints only what is not the gate's");
  audit->footer(
      "Example: lightning-faults audit /usr/local/lib/liblightning.so\n"
      "Exit status: 0 every one is the gate's, 1 one is not, 2 wrong usage or no such file.");
  audit->callback([=] { *command = [=] { return RunAudit(*options); }; });
}

}  // namespace lightning::faults
