// The rows of a run: their units and targets, the table for people, the JSON for programs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bench/settings.h"

namespace lightning::bench {

enum class Better : uint8_t { kNone, kHigher, kLower };

struct Row {
  std::string name;
  std::optional<double> value;  // absent when it could not be measured; `note` says why
  std::string text;             // instead of a value, for facts such as the isolation mode
  std::string unit;
  std::optional<double> target;
  Better better = Better::kNone;
  std::string note;

  // Nothing when the row has no target.
  std::optional<bool> Met() const;
};

double Median(std::vector<double> samples);  // not-a-number when empty

class Report {
 public:
  explicit Report(const Settings& settings) : settings_(settings) {}

  // A row of the fixed list (its unit and target are known by its name) or, with a unit given, a further one. Rows
  // that --only leaves out are dropped.
  void Add(std::string_view name, double value, std::string note = {}, std::string_view unit = {});
  void AddText(std::string_view name, std::string text);
  // The row could not be measured: it stands in the report without a value, and the run counts as failed.
  void Fail(std::string_view name, std::string reason);
  // Something was found that must never be: torn values, misses, lost updates.
  void Violation(std::string text);
  // A remark below the table.
  void Note(std::string text) { notes_.push_back(std::move(text)); }

  bool failed() const { return failed_; }
  void PrintTable() const;
  // False when the file cannot be written.
  bool WriteJson(const std::string& path) const;

 private:
  const Settings& settings_;
  std::vector<Row> rows_;
  std::vector<std::string> violations_, notes_;
  bool failed_ = false;
};

}  // namespace lightning::bench
