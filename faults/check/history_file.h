// Histories as text, one JSON object a line. docs/history-format.md describes the format.
#pragma once

#include <cstdint>
#include <istream>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "faults/check/linearizability.h"

namespace lightning::faults {

// Names given small numbers, from 0, in the order in which they come.
class NameTable {
 public:
  uint32_t Id(const std::string& name);
  const std::string& Name(uint64_t id) const { return names_[id]; }
  size_t size() const { return names_.size(); }

 private:
  std::unordered_map<std::string, uint32_t> ids_;
  std::vector<std::string> names_;
};

// Clients, keys and values are numbers in `operations`, and text here: as JSON writes them, so that 1 and "1" differ.
struct HistoryFile {
  std::vector<RegisterOperation> operations;  // in the order of the lines
  std::vector<size_t> lines;                  // of each, from 1
  NameTable clients, keys, values;            // value 0 is null: the key is absent
};

struct HistoryError {
  size_t line = 0, column = 0;  // 0: of the whole file, or of the whole line
  std::string what;
};

// False, and the first error, if the text is no history.
bool ReadHistory(std::istream& in, HistoryFile* file, HistoryError* error);

// What an operation is called in files; "put" and so on.
std::string_view KindName(RegisterKind kind);
// One line, with its end.
std::string WriteOperation(const HistoryFile& file, const RegisterOperation& operation);

// "a, b, c".
std::string JoinNames(std::span<const std::string_view> names);
// JSON text for people: without quotes where nothing else can be meant.
std::string PlainName(const std::string& json);
// "put a", "get, saw a", "replace a by b: no".
std::string DescribeOperation(const HistoryFile& file, const RegisterOperation& operation);

}  // namespace lightning::faults
