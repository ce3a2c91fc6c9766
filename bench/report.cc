#include "bench/report.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

namespace lightning::bench {
namespace {

struct Target {
  std::string_view name, unit;
  double target;
  Better better;
};

// What the project promises, in mode none. Names are read by other programs.
constexpr std::array kTargets = {
    Target{"ycsb_a_1", "ratio", 0.7, Better::kHigher},
    Target{"ycsb_a_2", "ratio", 0.7, Better::kHigher},
    Target{"ycsb_b_1", "ratio", 0.7, Better::kHigher},
    Target{"ycsb_b_2", "ratio", 0.7, Better::kHigher},
    Target{"ycsb_c_1", "ratio", 0.7, Better::kHigher},
    Target{"ycsb_c_2", "ratio", 0.7, Better::kHigher},
    Target{"ycsb_d_1", "ratio", 0.7, Better::kHigher},
    Target{"ycsb_d_2", "ratio", 0.7, Better::kHigher},
    Target{"ycsb_f_1", "ratio", 0.7, Better::kHigher},
    Target{"ycsb_f_2", "ratio", 0.7, Better::kHigher},
    Target{"ycsb_torn", "count", 0, Better::kLower},
    Target{"ycsb_missed", "count", 0, Better::kLower},
    Target{"ycsb_lost", "count", 0, Better::kLower},
    Target{"get_1k_ns", "ns", 100, Better::kLower},
    Target{"put_1k_ns", "ns", 350, Better::kLower},
    Target{"delete_1k_ns", "ns", 250, Better::kLower},
    Target{"put_64k_over_memcpy", "ratio", 1.3, Better::kLower},
    Target{"put_1m_over_memcpy", "ratio", 1.15, Better::kLower},
    Target{"put_64m_over_memcpy", "ratio", 1.1, Better::kLower},
    Target{"scale_2_over_floor", "ratio", 0.95, Better::kHigher},
    Target{"scale_4_over_2", "ratio", 0.9, Better::kHigher},
    Target{"recovery_us", "us", 100, Better::kLower},
    Target{"get_1e7_over_1e3", "ratio", 1.2, Better::kLower},
    Target{"get_mprotect_over_none", "ratio", 1.1, Better::kLower},
};

std::string FormatValue(double value, std::string_view unit) {
  char text[64];
  const char* format = "%.0f";
  if (unit == "ops/s" && value >= 1e6) {
    value /= 1e6;
    format = "%.2fM";
  } else if (unit == "ratio") {
    format = "%.3f";
  } else if (unit == "ns" || unit == "us") {
    format = value < 1000 ? "%.1f" : "%.0f";
  }
  std::snprintf(text, sizeof text, format, value);  // NOLINT: the formats stand above
  return text;
}

std::string FormatTarget(const Row& row) {
  if (!row.target) return {};
  char text[64];
  std::snprintf(text, sizeof text, "%s %g", row.better == Better::kHigher ? ">=" : "<=", *row.target);
  return text;
}

const char* Verdict(const Row& row) {
  if (row.text.empty() && !row.value) return "NOT MEASURED";
  if (!row.Met().has_value()) return "";
  return *row.Met() ? "met" : "MISSED";
}

// By how much, for the lines that sum up what was missed.
std::string Shortfall(const Row& row) {
  char text[160];
  const std::string value = FormatValue(*row.value, row.unit);
  if (*row.target > 0) {
    std::snprintf(text, sizeof text, "%s: %s %s, target %s, off by %.0f %%", row.name.c_str(), value.c_str(),
                  row.unit.c_str(), FormatTarget(row).c_str(), 100 * std::abs(*row.value / *row.target - 1));
  } else {
    std::snprintf(text, sizeof text, "%s: %s, target 0", row.name.c_str(), value.c_str());
  }
  return text;
}

}  // namespace

std::optional<bool> Row::Met() const {
  if (!target) return std::nullopt;
  if (!value) return false;
  return better == Better::kHigher ? *value >= *target : *value <= *target;
}

double Median(std::vector<double> samples) {
  if (samples.empty()) return std::numeric_limits<double>::quiet_NaN();
  const auto middle = samples.begin() + static_cast<std::ptrdiff_t>(samples.size() / 2);
  std::nth_element(samples.begin(), middle, samples.end());
  if (samples.size() % 2 == 1) return *middle;
  return (*middle + *std::max_element(samples.begin(), middle)) / 2;
}

void Report::Add(std::string_view name, double value, std::string note, std::string_view unit) {
  if (!settings_.Wants(name)) return;
  if (!std::isfinite(value)) return Fail(name, "no samples");
  Row row;
  row.name = name;
  row.value = value;
  row.unit = unit;
  row.note = std::move(note);
  for (const Target& known : kTargets) {
    if (known.name != name) continue;
    row.unit = known.unit;
    row.target = known.target;
    row.better = known.better;
  }
  rows_.push_back(std::move(row));
}

void Report::AddText(std::string_view name, std::string text) {
  Row row;
  row.name = name;
  row.text = std::move(text);
  rows_.push_back(std::move(row));
}

void Report::Fail(std::string_view name, std::string reason) {
  if (!settings_.Wants(name)) return;
  Add(name, 0, std::move(reason));
  rows_.back().value.reset();
  failed_ = true;
}

void Report::Violation(std::string text) {
  violations_.push_back(std::move(text));
  failed_ = true;
}

void Report::PrintTable() const {
  std::printf("\n%-26s %12s  %-6s %-9s %s\n", "name", "value", "unit", "target", "verdict");
  for (const Row& row : rows_) {
    const std::string value = row.value ? FormatValue(*row.value, row.unit) : (row.text.empty() ? "-" : row.text);
    std::printf("%-26s %12s  %-6s %-9s %-12s %s\n", row.name.c_str(), value.c_str(), row.unit.c_str(),
                FormatTarget(row).c_str(), Verdict(row), row.note.c_str());
  }
  size_t with_target = 0, met = 0;
  for (const Row& row : rows_) {
    with_target += row.target.has_value() ? 1 : 0;
    met += row.Met().value_or(false) ? 1 : 0;
  }
  std::printf("\n%zu of %zu targets met.\n", met, with_target);
  for (const Row& row : rows_) {
    if (row.value && !row.Met().value_or(true)) std::printf("  missed  %s\n", Shortfall(row).c_str());
  }
  for (const std::string& note : notes_) std::printf("  note    %s\n", note.c_str());
  for (const std::string& text : violations_) std::printf("  VIOLATION  %s\n", text.c_str());
}

bool Report::WriteJson(const std::string& path) const {
  nlohmann::json list = nlohmann::json::array();
  for (const Row& row : rows_) {
    nlohmann::json entry = {{"name", row.name}, {"unit", row.unit}, {"target", nullptr}, {"value", nullptr}};
    if (row.value) entry["value"] = *row.value;
    if (!row.text.empty()) entry["value"] = row.text;
    if (row.target) {
      entry["target"] = *row.target;
      entry["better"] = row.better == Better::kHigher ? "higher" : "lower";
      entry["met"] = *row.Met();
    }
    if (!row.note.empty()) entry["note"] = row.note;
    list.push_back(std::move(entry));
  }
  std::ofstream file(path);
  file << list.dump(2) << '\n';
  return file.flush().good();
}

}  // namespace lightning::bench
