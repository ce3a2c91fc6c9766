// Which source lines stand at which addresses of a program, by the line table of its debug information.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace lightning::faults {

struct SourcePlace {
  uint32_t file = 0;  // index into LineTable::files()
  uint32_t line = 0;
  bool operator==(const SourcePlace&) const = default;
  auto operator<=>(const SourcePlace&) const = default;
};

class LineTable {
 public:
  // Of the program in this file: the lines of sources below store/. `*error` says why there are none.
  static LineTable Load(const std::string& program, std::string* error);

  // "store/log/transaction.h"; relative to the root of the sources.
  const std::vector<std::string>& files() const { return files_; }
  // Lines of the instruction at so many bytes from the program's beginning: of every row that begins at it, else of the
  // last row before it. Empty: not from below store/. One instruction has several when the compiler merged lines.
  std::span<const SourcePlace> At(uint32_t offset) const;
  // Every line that has code, sorted.
  std::vector<SourcePlace> All() const;

 private:
  struct Row {
    uint32_t begin;         // from the program's beginning
    uint32_t first, count;  // places
    bool last_is_ours;      // the last row there is of the store
  };
  std::vector<std::string> files_;
  std::vector<Row> rows_;
  std::vector<SourcePlace> places_;
};

}  // namespace lightning::faults
