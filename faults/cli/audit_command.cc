#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "faults/audit/binary_audit.h"
#include "faults/cli/commands.h"
#include "faults/cli/output.h"
#include "faults/report/markup.h"

namespace lightning::faults {
namespace {

struct AuditOptions {
  std::string file, json;
  std::vector<std::string> allowed;
  bool strict = false, libraries = false, quiet = false;
};

// Where the loader would look, but for a program's own paths; "" when it is in none of these.
std::string FindLibrary(const std::string& name, const std::filesystem::path& beside) {
  for (const std::filesystem::path& folder :
       {beside, std::filesystem::path("/usr/local/lib"), std::filesystem::path("/lib/x86_64-linux-gnu"),
        std::filesystem::path("/usr/lib/x86_64-linux-gnu"), std::filesystem::path("/lib64"),
        std::filesystem::path("/usr/lib64")}) {
    std::error_code ignored;
    if (std::filesystem::is_regular_file(folder / name, ignored)) return folder / name;
  }
  return "";
}

// The function, and its source where that is known. The source begins with the function, but for long names.
std::string Place(const AuditItem& item) {
  if (item.source.starts_with(item.function)) return item.source;
  return item.function + "  " + item.source;
}

void Print(const AuditReport& report, bool quiet) {
  for (const AuditItem& item : report.items) {
    const bool well = item.verdict == AuditItem::Verdict::kOpens || item.verdict == AuditItem::Verdict::kCloses;
    if (well && quiet) continue;
    fmt::print("{:#x}  {:<7} {:<9}  {}\n", item.address, item.instruction, VerdictName(item.verdict), Place(item));
    if (!item.reason.empty()) fmt::print("           {}\n", item.reason);
  }
  fmt::print(
      "{}: {} bytes of code, {} functions; the gate opens in {} places and closes in {}; {} allowed by name, {} "
      "warnings, {} violations\n",
      report.file, Thousands(report.code_bytes), Thousands(report.functions), report.Count(AuditItem::Verdict::kOpens),
      report.Count(AuditItem::Verdict::kCloses), report.Count(AuditItem::Verdict::kAllowed),
      report.Count(AuditItem::Verdict::kWarning), report.Count(AuditItem::Verdict::kViolation));
}

int RunAudit(const AuditOptions& options) {
  std::vector<std::string> files{options.file};
  std::set<std::string> known;
  nlohmann::ordered_json json, libraries = nlohmann::ordered_json::array();
  bool well = true;
  for (size_t i = 0; i < files.size(); ++i) {
    std::string error;
    const std::optional<AuditReport> report = AuditFile(files[i], options.allowed, &error, /*a_library=*/i != 0);
    if (!report) return Usage(error);
    Print(*report, options.quiet);
    well = well && report->well() && (!options.strict || report->Count(AuditItem::Verdict::kWarning) == 0);
    (i == 0 ? json : libraries.emplace_back()) = AuditToJson(*report);
    for (const std::string& name : report->needed) {
      if (!options.libraries || !known.insert(name).second) continue;
      files.push_back(FindLibrary(name, std::filesystem::path(files[i]).parent_path()));
      if (files.back().empty()) return Usage("the library " + name + " was not found");
    }
  }
  if (options.libraries) json["libraries"] = std::move(libraries);
  if (!options.json.empty()) {
    std::ofstream out(options.json);
    out << json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) << "\n";
    if (!out.flush()) return Usage("cannot write " + options.json);
  }
  return well ? kWell : kFound;
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
  audit->add_flag("--with-libraries", options->libraries, "The libraries that it needs as well");
  audit->add_flag("--strict", options->strict, "Warnings count as well");
  audit->add_flag("--quiet", options->quiet, "Prints only what is not the gate's");
  audit->footer(
      "Example: lightning-faults audit /usr/local/lib/liblightning.so\n"
      "Exit status: 0 every one is the gate's, 1 one is not, 2 wrong usage or no such file.");
  audit->callback([=] { *command = [=] { return RunAudit(*options); }; });
}

}  // namespace lightning::faults
