// Every instruction of a file that can change the rights of protection keys: is it one of the gate's, in the gate's
// sequence, and does every path close again what it opened? docs/binary-audit.md.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace lightning::faults {

struct AuditItem {
  enum class Verdict : uint8_t {
    kOpens,    // the gate's opening
    kCloses,   // the gate's closing
    kAllowed,  // in a function that was allowed by name
    kWarning,
    kViolation,
  };
  uint64_t address = 0;
  std::string instruction;         // "WRPKRU", "XRSTOR"
  std::string function;            // demangled; "" when unknown
  std::string source;              // "function (file:line from file:line)"; "" without debug information
  std::vector<std::string> files;  // SourceLines::FilesAt
  Verdict verdict = Verdict::kViolation;
  std::string reason;
};
const char* VerdictName(AuditItem::Verdict verdict);

struct AuditReport {
  std::string file;
  uint64_t code_bytes = 0, functions = 0;
  uint64_t followed = 0;         // functions whose paths were followed
  std::vector<AuditItem> items;  // by address
  std::vector<std::string> needed;

  uint64_t Count(AuditItem::Verdict verdict) const;
  bool well() const { return Count(AuditItem::Verdict::kViolation) == 0; }
};

// `allowed`: names of functions, as patterns of fnmatch(3). In `a_library` that a program needs, an XRSTOR whose mask
// leaves the rights out is a warning. None with `*error` when the file cannot be audited.
std::optional<AuditReport> AuditFile(const std::string& file, const std::vector<std::string>& allowed,
                                     std::string* error, bool a_library = false);

nlohmann::ordered_json AuditToJson(const AuditReport& report);

}  // namespace lightning::faults
