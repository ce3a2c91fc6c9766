#include "faults/report/build_id.h"

#include <elf.h>
#include <fmt/format.h>
#include <link.h>
#include <sys/utsname.h>

#include <cstring>
#include <fstream>

#include "store/segment/layout.h"

namespace lightning::faults {
namespace {

size_t Aligned(size_t size) { return (size + 3) & ~size_t{3}; }

std::string BuildIdIn(const char* notes, size_t size) {
  for (size_t at = 0; at + sizeof(ElfW(Nhdr)) <= size;) {
    ElfW(Nhdr) note;
    memcpy(&note, notes + at, sizeof note);
    const size_t name = at + sizeof note, bytes = name + Aligned(note.n_namesz);
    if (bytes + note.n_descsz > size) break;
    if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && memcmp(notes + name, "GNU", 4) == 0) {
      std::string id;
      for (size_t i = 0; i < note.n_descsz; ++i) id += fmt::format("{:02x}", static_cast<uint8_t>(notes[bytes + i]));
      return id;
    }
    at = bytes + Aligned(note.n_descsz);
  }
  return "";
}

// The first object is the program itself.
int Look(dl_phdr_info* info, size_t, void* result) {
  for (size_t i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)& header = info->dlpi_phdr[i];
    if (header.p_type != PT_NOTE) continue;
    const auto* const notes = reinterpret_cast<const char*>(info->dlpi_addr + header.p_vaddr);
    auto* const id = static_cast<std::string*>(result);
    *id = BuildIdIn(notes, header.p_memsz);
    if (!id->empty()) break;
  }
  return 1;
}

std::string Processor() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    const size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "?";
}

}  // namespace

std::string OwnBuildId() {
  std::string id;
  dl_iterate_phdr(Look, &id);
  return id;
}

std::map<std::string, std::string> Versions() {
  utsname system = {};
  uname(&system);
  return {{"compiler", __VERSION__},
          {"kernel", system.release},
          {"processor", Processor()},
          {"format", fmt::format("{}", kFormatVersion)}};
}

}  // namespace lightning::faults
