#include "faults/report/source_line.h"

#include <cxxabi.h>
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>
#include <fmt/format.h>

#include <cstdlib>
#include <string_view>
#include <vector>

namespace lightning::faults {
namespace {

std::string Demangled(const char* name) {
  int status = 0;
  char* text = abi::__cxa_demangle(name, nullptr, nullptr, &status);
  std::string result = status == 0 && text != nullptr ? text : name;
  free(text);
  return result;
}

std::string ShortName(const char* file) {
  const std::string path = file;
  for (const char* folder : {"/store/", "/faults/"}) {
    const size_t at = path.rfind(folder);
    if (at != std::string::npos) return path.substr(at + 1);
  }
  return path.substr(path.rfind('/') + 1);
}

// The places in our own sources, the innermost first: what stands there, and where it was inlined.
std::string Places(Dwfl_Module* module, uint64_t address) {
  std::vector<std::string> places;
  auto add = [&](const char* file, int line) {
    const bool ours = file != nullptr && std::string_view(file).find("/usr/") != 0;
    if (ours && places.size() < 3) places.push_back(fmt::format("{}:{}", ShortName(file), line));
  };
  int number = 0;
  if (Dwfl_Line* line = dwfl_module_getsrc(module, address)) {
    const char* file = dwfl_lineinfo(line, nullptr, &number, nullptr, nullptr, nullptr);
    add(file, number);
  }
  Dwarf_Addr bias = 0;
  Dwarf_Die* unit = dwfl_module_addrdie(module, address, &bias);
  Dwarf_Files* files = nullptr;
  size_t file_count = 0;
  Dwarf_Die* scopes = nullptr;
  if (unit == nullptr || dwarf_getsrcfiles(unit, &files, &file_count) != 0) return places.empty() ? "" : places[0];
  // The innermost scope; then what it really stands in, rather than where it was written.
  int count = dwarf_getscopes(unit, address - bias, &scopes);
  if (count > 0) {
    Dwarf_Die innermost = scopes[0];
    free(scopes);
    scopes = nullptr;
    count = dwarf_getscopes_die(&innermost, &scopes);
  }
  for (int i = 0; i < count; ++i) {
    if (dwarf_tag(&scopes[i]) != DW_TAG_inlined_subroutine) continue;
    Dwarf_Attribute attribute;
    Dwarf_Word file = 0, line = 0;
    if (dwarf_formudata(dwarf_attr(&scopes[i], DW_AT_call_file, &attribute), &file) == 0 &&
        dwarf_formudata(dwarf_attr(&scopes[i], DW_AT_call_line, &attribute), &line) == 0)
      add(dwarf_filesrc(files, file, nullptr, nullptr), static_cast<int>(line));
  }
  free(scopes);
  std::string text;
  for (const std::string& place : places) text.append(text.empty() ? "" : " from ").append(place);
  return text;
}

}  // namespace

SourceLines::SourceLines(pid_t process) {
  static const Dwfl_Callbacks kCallbacks = {
      .find_elf = dwfl_linux_proc_find_elf,
      .find_debuginfo = dwfl_standard_find_debuginfo,
      .section_address = nullptr,
      .debuginfo_path = nullptr,
  };
  dwfl_ = dwfl_begin(&kCallbacks);
  if (dwfl_ == nullptr) return;
  if (dwfl_linux_proc_report(dwfl_, process) == 0 && dwfl_report_end(dwfl_, nullptr, nullptr) == 0) return;
  dwfl_end(dwfl_);
  dwfl_ = nullptr;
}

SourceLines::~SourceLines() {
  if (dwfl_ != nullptr) dwfl_end(dwfl_);
}

const std::string& SourceLines::At(uint64_t address) {
  const auto [place, is_new] = known_.try_emplace(address);
  std::string& text = place->second;
  if (!is_new) return text;
  text = fmt::format("{:#x}", address);
  Dwfl_Module* module = dwfl_ == nullptr ? nullptr : dwfl_addrmodule(dwfl_, address);
  if (module == nullptr) return text;
  const char* name = dwfl_module_addrname(module, address);
  if (name != nullptr) text = Demangled(name);
  const std::string places = Places(module, address);
  if (!places.empty()) text += fmt::format(" ({})", places);
  return text;
}

std::string SourceLine(pid_t process, uint64_t address) { return SourceLines(process).At(address); }

}  // namespace lightning::faults
