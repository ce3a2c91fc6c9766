#include "faults/report/failure_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <string_view>

#include "faults/plan/plan_text.h"
#include "faults/report/build_id.h"

namespace lightning::faults {
namespace {

namespace fs = std::filesystem;

bool Write(const fs::path& file, std::string_view text) {
  std::ofstream out(file, std::ios::binary | std::ios::trunc);
  out.write(text.data(), static_cast<std::streamsize>(text.size()));
  return static_cast<bool>(out.flush());
}

bool WriteImage(const fs::path& file, const std::vector<std::byte>& image) {
  return image.empty() || Write(file, {reinterpret_cast<const char*>(image.data()), image.size()});
}

// The same failure gets the same name again.
uint64_t HashOf(const std::string& text) {
  uint64_t hash = 0xCBF2'9CE4'8422'2325;  // FNV-1a
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100'0000'01B3;
  return hash;
}

nlohmann::ordered_json VerdictOf(const Failure& failure) {
  nlohmann::ordered_json verdict = {
      {"engine", failure.engine}, {"class", failure.kind}, {"what", failure.what}, {"command", failure.command}};
  if (failure.plan) verdict["seed"] = failure.plan->seed;
  for (const auto& [name, value] : failure.settings.items()) verdict[name] = value;
  verdict["build_id"] = OwnBuildId();
  verdict["versions"] = Versions();
  return verdict;
}

}  // namespace

std::string FailureClass(const std::string& what) {
  const auto is_digit = [](char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; };
  std::string kind;
  bool quoted = false;
  for (size_t i = 0; i < what.size(); ++i) {
    if (what[i] == '"') {
      quoted = !quoted;
    } else if (!quoted && is_digit(what[i])) {
      const bool hex = what.compare(i, 2, "0x") == 0;
      if (hex) ++i;
      while (i + 1 < what.size() &&
             (hex ? std::isxdigit(static_cast<unsigned char>(what[i + 1])) != 0 : is_digit(what[i + 1])))
        ++i;
    } else if (!quoted) {
      kind += what[i];
    }
  }
  return kind;
}

std::string LeaveFailure(const std::string& parent, const Failure& failure, std::string* folder) {
  const std::string text = failure.plan ? PrintPlan(*failure.plan) : failure.command;
  const fs::path path = fs::path(parent) / fmt::format("{}-{:016x}", failure.engine, HashOf(failure.kind + text));
  std::error_code error;
  fs::create_directories(path, error);
  if (error) return fmt::format("{} cannot be made: {}", path.string(), error.message());
  bool well = true;
  if (failure.plan) well &= Write(path / "plan.txt", text);
  if (failure.found_as) well &= Write(path / "found-as.txt", PrintPlan(*failure.found_as));
  well &= WriteImage(path / "before.image", failure.before);
  well &= WriteImage(path / "after.image", failure.after);
  if (!failure.trace.empty()) well &= Write(path / "trace.txt", failure.trace);
  const auto replace = nlohmann::ordered_json::error_handler_t::replace;
  well &= Write(path / "verdict.json", VerdictOf(failure).dump(2, ' ', false, replace) + "\n");
  *folder = path.string();
  return well ? "" : fmt::format("{} cannot be written whole", path.string());
}

std::string ReplayCommand(const std::string& folder) {
  constexpr std::string_view kPlain = "/.-_+,:@%=";
  const bool plain = std::all_of(folder.begin(), folder.end(), [&](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || kPlain.find(c) != std::string_view::npos;
  });
  if (plain) return "lightning-faults replay " + folder;
  std::string quoted;
  for (const char c : folder) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return "lightning-faults replay '" + quoted + "'";
}

std::string ReadVerdict(const std::string& folder, nlohmann::json* verdict) {
  std::ifstream in(fs::path(folder) / "verdict.json");
  *verdict = nlohmann::json::parse(in, nullptr, /*allow_exceptions=*/false);
  if (!in.is_open()) return folder + " is no folder of a failure: it has no verdict.json";
  return verdict->is_object() ? "" : folder + "/verdict.json is not one JSON object";
}

}  // namespace lightning::faults
