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

constexpr size_t kLongestName = 120;
constexpr int kMostFrames = 12;

std::string WithoutTemplates(const std::string& name) {
  std::string result;
  int depth = 0;
  for (const char c : name) {
    depth += c == '<' ? 1 : 0;
    if (depth == 0) result += c;
    depth -= c == '>' ? 1 : 0;
  }
  return result;
}

std::string Demangled(const char* name) {
  int status = 0;
  char* text = abi::__cxa_demangle(name, nullptr, nullptr, &status);
  std::string result = status == 0 && text != nullptr ? text : name;
  free(text);
  return result.size() <= kLongestName ? result : WithoutTemplates(result);
}

std::string ShortName(const char* file) {
  const std::string path = file;
  for (const char* folder : {"/store/", "/faults/", "/pkeys_tests/", "/crashtests/", "/fuzz/", "/bench/"}) {
    const size_t at = path.rfind(folder);
    if (at != std::string::npos) return path.substr(at + 1);
  }
  return path.substr(path.rfind('/') + 1);
}

struct Place {
  std::string file;
  int line = 0;
};

// The places in our own sources, the innermost first: what stands there, and where it was inlined. At last, without a
// line, what the compiler was given.
std::vector<Place> PlacesAt(Dwfl_Module* module, uint64_t address) {
  std::vector<Place> places;
  auto add = [&](const char* file, int line) {
    const bool ours = file != nullptr && std::string_view(file).find("/usr/") != 0;
    if (ours) places.push_back({ShortName(file), line});
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
  if (unit == nullptr || dwarf_getsrcfiles(unit, &files, &file_count) != 0) return places;
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
  add(dwarf_diename(unit), 0);
  return places;
}

std::string Places(Dwfl_Module* module, uint64_t address) {
  constexpr int kMostPlaces = 3;
  std::string text;
  int count = 0;
  for (const Place& place : PlacesAt(module, address)) {
    if (place.line == 0 || ++count > kMostPlaces) break;
    text += fmt::format("{}{}:{}", text.empty() ? "" : " from ", place.file, place.line);
  }
  return text;
}

const Dwfl_Callbacks kCallbacks = {
    .find_elf = dwfl_linux_proc_find_elf,
    .find_debuginfo = dwfl_standard_find_debuginfo,
    .section_address = nullptr,
    .debuginfo_path = nullptr,
};

const Dwfl_Callbacks kOfflineCallbacks = {
    .find_elf = dwfl_build_id_find_elf,
    .find_debuginfo = dwfl_standard_find_debuginfo,
    .section_address = dwfl_offline_section_address,
    .debuginfo_path = nullptr,
};

std::string PlaceOf(Dwfl* dwfl, uint64_t address) {
  std::string result = fmt::format("{:#x}", address);
  Dwfl_Module* module = dwfl_addrmodule(dwfl, address);
  if (module == nullptr) return result;
  GElf_Off offset = 0;
  GElf_Sym symbol;
  const char* name = dwfl_module_addrinfo(module, address, &offset, &symbol, nullptr, nullptr, nullptr);
  if (name != nullptr) result = Demangled(name);
  const std::string places = Places(module, address);
  if (!places.empty()) {
    result += fmt::format(" ({})", places);
  } else if (name != nullptr) {
    result += fmt::format("+{:#x}", offset);
  }
  return result;
}

struct CallerSearch {
  Dwfl* dwfl;
  const std::string& module;
  bool innermost;
  std::string found;
};

int LookAtFrame(Dwfl_Frame* frame, void* argument) {
  auto* search = static_cast<CallerSearch*>(argument);
  Dwarf_Addr address = 0;
  bool exact = false;
  if (!dwfl_frame_pc(frame, &address, &exact)) return DWARF_CB_ABORT;
  // A return address belongs to the line after the call.
  if (!exact) --address;
  const bool innermost = search->innermost;
  search->innermost = false;
  Dwfl_Module* module = dwfl_addrmodule(search->dwfl, address);
  const char* file = nullptr;
  if (module != nullptr) dwfl_module_info(module, nullptr, nullptr, nullptr, nullptr, nullptr, &file, nullptr);
  if (file == nullptr || search->module != file) return DWARF_CB_OK;
  if (!innermost) search->found = PlaceOf(search->dwfl, address);
  return DWARF_CB_ABORT;
}

struct Stack {
  Dwfl* dwfl;
  std::string text;
  int frames;
};

int AddFrame(Dwfl_Frame* frame, void* argument) {
  auto* stack = static_cast<Stack*>(argument);
  Dwarf_Addr address = 0;
  bool exact = false;
  if (!dwfl_frame_pc(frame, &address, &exact)) return DWARF_CB_ABORT;
  stack->text.append(stack->text.empty() ? "" : " < ").append(PlaceOf(stack->dwfl, exact ? address : address - 1));
  return ++stack->frames < kMostFrames ? DWARF_CB_OK : DWARF_CB_ABORT;
}

// With the modules of the process; null when they cannot be told.
Dwfl* Report(pid_t process) {
  Dwfl* dwfl = dwfl_begin(&kCallbacks);
  if (dwfl != nullptr && dwfl_linux_proc_report(dwfl, process) == 0 && dwfl_report_end(dwfl, nullptr, nullptr) == 0)
    return dwfl;
  if (dwfl != nullptr) dwfl_end(dwfl);
  return nullptr;
}

}  // namespace

SourceLines::SourceLines(pid_t process) : dwfl_(Report(process)) {}

SourceLines::SourceLines(const std::string& file) : dwfl_(dwfl_begin(&kOfflineCallbacks)), offline_(true) {
  if (dwfl_ == nullptr) return;
  Dwfl_Module* module = dwfl_report_offline(dwfl_, file.c_str(), file.c_str(), -1);
  dwfl_report_end(dwfl_, nullptr, nullptr);
  GElf_Addr bias = 0;
  if (module != nullptr && dwfl_module_getelf(module, &bias) != nullptr) bias_ = bias;
}

SourceLines::~SourceLines() {
  if (dwfl_ != nullptr) dwfl_end(dwfl_);
}

const std::string& SourceLines::At(uint64_t address) {
  const auto [place, is_new] = known_.try_emplace(address);
  if (is_new) place->second = dwfl_ == nullptr ? fmt::format("{:#x}", address) : PlaceOf(dwfl_, address + bias_);
  // Nothing but a number that libdwfl chose.
  if (is_new && offline_ && place->second.starts_with("0x")) place->second.clear();
  return place->second;
}

std::vector<std::string> SourceLines::FilesAt(uint64_t address) {
  Dwfl_Module* module = dwfl_ == nullptr ? nullptr : dwfl_addrmodule(dwfl_, address + bias_);
  std::vector<std::string> files;
  if (module == nullptr) return files;
  for (Place& place : PlacesAt(module, address + bias_)) files.push_back(std::move(place.file));
  return files;
}

std::string SourceLine(pid_t process, uint64_t address) { return SourceLines(process).At(address); }

std::string CallerIn(pid_t process, const std::string& module) {
  Dwfl* dwfl = Report(process);
  if (dwfl == nullptr) return "";
  CallerSearch search{dwfl, module, true, ""};
  if (dwfl_linux_proc_attach(dwfl, process, /*assume_ptrace_stopped=*/true) == 0)
    dwfl_getthread_frames(dwfl, process, LookAtFrame, &search);
  dwfl_end(dwfl);
  return search.found;
}

std::string StackOf(pid_t process) {
  Dwfl* dwfl = Report(process);
  if (dwfl == nullptr) return "";
  Stack stack{dwfl, "", 0};
  if (dwfl_linux_proc_attach(dwfl, process, /*assume_ptrace_stopped=*/false) == 0)
    dwfl_getthread_frames(dwfl, process, AddFrame, &stack);
  dwfl_end(dwfl);
  return stack.text;
}

}  // namespace lightning::faults
