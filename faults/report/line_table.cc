#include "faults/report/line_table.h"

#include <elfutils/libdw.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <gelf.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <unordered_map>

namespace lightning::faults {
namespace {

constexpr uint32_t kForeign = UINT32_MAX;  // not one of our files
constexpr uint32_t kEnd = UINT32_MAX - 1;  // of a sequence: says nothing when another one begins there

struct RawRow {
  uint64_t address;
  SourcePlace place;
};

// The path below the root, of sources of the store; "" of any other.
std::string PathInStore(const std::string& path) {
  const size_t at = path.rfind("/store/");
  return at == std::string::npos || path.starts_with("/usr/") ? "" : path.substr(at + 1);
}

class Reader {
 public:
  std::string Read(int fd) {
    Dwarf* dwarf = dwarf_begin(fd, DWARF_C_READ);
    if (dwarf == nullptr) return fmt::format("no debug information: {}", dwarf_errmsg(-1));
    FindCode(dwarf_getelf(dwarf));
    Dwarf_CU* unit = nullptr;
    Dwarf_Die die;
    while (dwarf_get_units(dwarf, unit, &unit, nullptr, nullptr, &die, nullptr) == 0) ReadUnit(&die);
    dwarf_end(dwarf);
    return rows.empty() ? "the program's debug information names no source of the store" : "";
  }

  std::vector<RawRow> rows;
  std::vector<std::string> files;
  uint64_t begin = UINT64_MAX;  // of what is loaded

 private:
  void FindCode(Elf* elf) {
    size_t count = 0;
    elf_getphdrnum(elf, &count);
    for (size_t i = 0; i < count; ++i) {
      GElf_Phdr header;
      if (gelf_getphdr(elf, static_cast<int>(i), &header) == nullptr || header.p_type != PT_LOAD) continue;
      begin = std::min<uint64_t>(begin, header.p_vaddr & ~uint64_t{4095});
      if ((header.p_flags & PF_X) == 0) continue;
      code_begin_ = std::min<uint64_t>(code_begin_, header.p_vaddr);
      code_end_ = std::max<uint64_t>(code_end_, header.p_vaddr + header.p_memsz);
    }
  }

  uint32_t FileNumber(const char* name) {
    const auto known = numbers_.find(name);  // libdw keeps one string a file and unit
    if (known != numbers_.end()) return known->second;
    const std::string path = PathInStore(name);
    uint32_t number = kForeign;
    if (!path.empty()) {
      number = static_cast<uint32_t>(std::find(files.begin(), files.end(), path) - files.begin());
      if (number == files.size()) files.push_back(path);
    }
    numbers_.emplace(name, number);
    return number;
  }

  void ReadUnit(Dwarf_Die* die) {
    Dwarf_Lines* lines = nullptr;
    size_t count = 0;
    if (dwarf_getsrclines(die, &lines, &count) != 0) return;
    for (size_t i = 0; i < count; ++i) {
      Dwarf_Line* line = dwarf_onesrcline(lines, i);
      Dwarf_Addr address = 0;
      int number = 0;
      bool end = false;
      // Functions that the linker left out have rows too, near address zero.
      if (dwarf_lineaddr(line, &address) != 0 || address < code_begin_ || address > code_end_) continue;
      dwarf_lineendsequence(line, &end);
      const char* file = end ? nullptr : dwarf_linesrc(line, nullptr, nullptr);
      SourcePlace place{file == nullptr ? kForeign : FileNumber(file), 0};
      if (dwarf_lineno(line, &number) != 0 || number <= 0) place.file = kForeign;
      place.line = static_cast<uint32_t>(number);
      if (end) place.file = kEnd;
      rows.push_back({address, place});
    }
  }

  uint64_t code_begin_ = UINT64_MAX, code_end_ = 0;
  std::unordered_map<const char*, uint32_t> numbers_;
};

}  // namespace

LineTable LineTable::Load(const std::string& program, std::string* error) {
  LineTable table;
  Reader reader;
  const int fd = open(program.c_str(), O_RDONLY | O_CLOEXEC);
  *error = fd < 0 ? fmt::format("{}: {}", program, strerror(errno)) : reader.Read(fd);
  if (fd >= 0) close(fd);
  if (!error->empty()) return table;
  table.files_ = std::move(reader.files);
  std::vector<RawRow>& rows = reader.rows;
  std::stable_sort(rows.begin(), rows.end(), [](const RawRow& a, const RawRow& b) { return a.address < b.address; });
  for (size_t i = 0; i < rows.size();) {
    const auto first = static_cast<uint32_t>(table.places_.size());
    const uint64_t address = rows[i].address;
    bool ours = false;
    for (; i < rows.size() && rows[i].address == address; ++i) {
      if (rows[i].place.file == kEnd) continue;
      ours = rows[i].place.file != kForeign;
      if (ours) table.places_.push_back(rows[i].place);
    }
    table.rows_.push_back({static_cast<uint32_t>(address - reader.begin), first,
                           static_cast<uint32_t>(table.places_.size()) - first, ours});
  }
  return table;
}

std::span<const SourcePlace> LineTable::At(uint32_t offset) const {
  auto row = std::upper_bound(rows_.begin(), rows_.end(), offset, [](uint32_t o, const Row& r) { return o < r.begin; });
  if (row == rows_.begin()) return {};
  --row;
  const std::span<const SourcePlace> places(places_.data() + row->first, row->count);
  if (row->begin == offset) return places;
  return row->last_is_ours ? places.last(1) : places.first(0);
}

std::vector<SourcePlace> LineTable::All() const {
  std::vector<SourcePlace> all = places_;
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

}  // namespace lightning::faults
