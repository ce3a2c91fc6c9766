#include "faults/report/coverage.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

namespace lightning::faults {

Coverage Resolve(const StepRecord& record, const LineTable& table) {
  std::map<SourcePlace, LineCounts> lines;
  for (const SourcePlace& place : table.All()) lines[place].line = place.line;
  const std::vector<PointCounts>& points = record.points();
  for (uint32_t offset = 0; offset < points.size(); ++offset) {
    const PointCounts& counts = points[offset];
    if (counts.stepped == 0) continue;
    for (const SourcePlace& place : table.At(offset)) {
      LineCounts& its = lines[place];
      its.stepped += counts.stepped;
      its.judged += counts.judged;
      its.changed += counts.changed;
    }
  }
  Coverage coverage;
  for (const std::string& file : table.files()) coverage.files.push_back({file, {}});
  for (const auto& [place, counts] : lines) coverage.files[place.file].lines.push_back(counts);
  std::sort(coverage.files.begin(), coverage.files.end(), [](const auto& a, const auto& b) { return a.file < b.file; });
  return coverage;
}

CoverageSum Sum(const FileCoverage& file) {
  CoverageSum sum;
  sum.code = file.lines.size();
  for (const LineCounts& line : file.lines) {
    sum.stepped += line.stepped > 0;
    sum.judged += line.judged > 0;
    sum.changed += line.changed > 0;
  }
  return sum;
}

CoverageSum Sum(const Coverage& coverage, const std::string& prefix) {
  CoverageSum all;
  for (const FileCoverage& file : coverage.files) {
    if (!file.file.starts_with(prefix)) continue;
    const CoverageSum sum = Sum(file);
    all.code += sum.code;
    all.stepped += sum.stepped;
    all.judged += sum.judged;
    all.changed += sum.changed;
  }
  return all;
}

std::vector<std::string> Folders(const Coverage& coverage) {
  std::vector<std::string> folders;
  for (const FileCoverage& file : coverage.files) {
    const std::string folder = file.file.substr(0, file.file.rfind('/') + 1);
    if (std::find(folders.begin(), folders.end(), folder) == folders.end()) folders.push_back(folder);
  }
  return folders;
}

std::string LineRanges(const FileCoverage& file, bool (*wanted)(const LineCounts&)) {
  std::string text;
  for (size_t i = 0; i < file.lines.size(); ++i) {
    if (!wanted(file.lines[i])) continue;
    const uint32_t first = file.lines[i].line;
    while (i + 1 < file.lines.size() && wanted(file.lines[i + 1])) ++i;
    const uint32_t last = file.lines[i].line;
    text += fmt::format("{}{}", text.empty() ? "" : ", ", first);
    if (last != first) text += fmt::format("-{}", last);
  }
  return text;
}

std::string ToLcov(const Coverage& coverage) {
  std::string text;
  for (const FileCoverage& file : coverage.files) {
    text += fmt::format("TN:crash_coverage\nSF:{}\n", file.file);
    for (const LineCounts& line : file.lines) text += fmt::format("DA:{},{}\n", line.line, line.judged);
    const CoverageSum sum = Sum(file);
    text += fmt::format("LF:{}\nLH:{}\nend_of_record\n", sum.code, sum.judged);
  }
  return text;
}

std::string CoverageToJson(const Coverage& coverage) {
  using nlohmann::ordered_json;
  ordered_json json = {{"format", "lightning crash coverage 1"},
                       {"columns", {"line", "stepped", "judged", "changed"}},
                       {"files", ordered_json::object()}};
  for (const FileCoverage& file : coverage.files) {
    ordered_json lines = ordered_json::array();
    for (const LineCounts& line : file.lines) lines.push_back({line.line, line.stepped, line.judged, line.changed});
    json["files"][file.file] = std::move(lines);
  }
  return json.dump() + "\n";
}

Coverage CoverageFromJson(const std::string& text) {
  Coverage coverage;
  try {
    const nlohmann::json json = nlohmann::json::parse(text);
    if (json.at("format") != "lightning crash coverage 1") {
      coverage.error = "not crash coverage of this version";
      return coverage;
    }
    for (const auto& [file, lines] : json.at("files").items()) {
      FileCoverage& its = coverage.files.emplace_back(FileCoverage{file, {}});
      for (const auto& line : lines)
        its.lines.push_back({line.at(0).get<uint32_t>(), line.at(1).get<uint64_t>(), line.at(2).get<uint64_t>(),
                             line.at(3).get<uint64_t>()});
    }
  } catch (const nlohmann::json::exception& error) {
    coverage = {{}, error.what()};
  }
  return coverage;
}

}  // namespace lightning::faults
