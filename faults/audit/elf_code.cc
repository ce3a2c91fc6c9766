#include "faults/audit/elf_code.h"

#include <cxxabi.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <gelf.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "faults/audit/unwind_tables.h"

namespace lightning::faults {

std::string Demangle(const char* name) {
  // "foo.cold", "foo.part.0": the demangler knows them as clones of foo, which they are.
  int status = 0;
  char* text = abi::__cxa_demangle(name, nullptr, nullptr, &status);
  std::string result = status == 0 && text != nullptr ? text : name;
  free(text);
  return result;
}

class ElfReader {
 public:
  explicit ElfReader(ElfCode* code) : code_(*code) {}

  std::string Read(Elf* elf) {
    GElf_Ehdr header;
    if (elf_kind(elf) != ELF_K_ELF || gelf_getehdr(elf, &header) == nullptr || header.e_machine != EM_X86_64)
      return "not an ELF file of x86-64";
    if (header.e_type != ET_EXEC && header.e_type != ET_DYN)
      return "not linked: its calls have no targets yet; audit the program or the shared library that it becomes";
    size_t names = 0;
    elf_getshdrstrndx(elf, &names);
    Elf_Scn* tables = nullptr;
    for (Elf_Scn* section = nullptr; (section = elf_nextscn(elf, section)) != nullptr;) {
      GElf_Shdr its;
      if (gelf_getshdr(section, &its) == nullptr) continue;
      const char* name = elf_strptr(elf, names, its.sh_name);
      if ((its.sh_flags & SHF_ALLOC) != 0 && its.sh_type != SHT_NOBITS) AddSection(section, its, name);
      if (its.sh_type == SHT_SYMTAB || (its.sh_type == SHT_DYNSYM && tables == nullptr)) tables = section;
      if (its.sh_type == SHT_RELA) AddRelocations(elf, section, its);
      if (its.sh_type == SHT_DYNAMIC) AddNeeded(elf, section, its);
    }
    if (code_.code_.empty()) return "no section with code (a file without section headers?)";
    if (tables != nullptr) AddSymbols(elf, tables);
    AddUnwinding();
    Tidy();
    return "";
  }

 private:
  void AddSection(Elf_Scn* section, const GElf_Shdr& its, const char* name) {
    Elf_Data* data = elf_getdata(section, nullptr);
    if (data == nullptr || data->d_buf == nullptr) return;
    const auto* bytes = static_cast<const uint8_t*>(data->d_buf);
    ElfCode::Section added{its.sh_addr, name == nullptr ? "" : name, {bytes, bytes + data->d_size}};
    ((its.sh_flags & SHF_EXECINSTR) != 0 ? code_.code_ : code_.data_).push_back(std::move(added));
  }

  void AddSymbols(Elf* elf, Elf_Scn* section) {
    GElf_Shdr its;
    Elf_Data* data = elf_getdata(section, nullptr);
    if (gelf_getshdr(section, &its) == nullptr || data == nullptr || its.sh_entsize == 0) return;
    for (size_t i = 0; i < its.sh_size / its.sh_entsize; ++i) {
      GElf_Sym symbol;
      if (gelf_getsym(data, static_cast<int>(i), &symbol) == nullptr || symbol.st_shndx == SHN_UNDEF) continue;
      const auto type = GELF_ST_TYPE(symbol.st_info);
      // Assembler code may have symbols without a type; sections and files have types of their own.
      if (type != STT_FUNC && type != STT_GNU_IFUNC && type != STT_NOTYPE) continue;
      const char* name = elf_strptr(elf, its.sh_link, symbol.st_name);
      if (name == nullptr || *name == 0 || !InCode(symbol.st_value)) continue;
      if (type == STT_NOTYPE && symbol.st_size == 0 && GELF_ST_BIND(symbol.st_info) == STB_LOCAL) continue;
      const bool part = std::string_view(name).find(".cold") != std::string_view::npos;
      code_.functions_.push_back({symbol.st_value, symbol.st_value + symbol.st_size, Demangle(name), part});
    }
  }

  void AddRelocations(Elf* elf, Elf_Scn* section, const GElf_Shdr& its) {
    GElf_Shdr symbols_header;
    Elf_Scn* symbols = elf_getscn(elf, its.sh_link);
    Elf_Data* data = elf_getdata(section, nullptr);
    if (data == nullptr || its.sh_entsize == 0) return;
    if (symbols == nullptr || gelf_getshdr(symbols, &symbols_header) == nullptr) return;
    Elf_Data* symbol_data = elf_getdata(symbols, nullptr);
    for (size_t i = 0; i < its.sh_size / its.sh_entsize; ++i) {
      GElf_Rela relocation;
      GElf_Sym symbol;
      if (gelf_getrela(data, static_cast<int>(i), &relocation) == nullptr || symbol_data == nullptr) continue;
      const auto type = GELF_R_TYPE(relocation.r_info);
      if (type != R_X86_64_JUMP_SLOT && type != R_X86_64_GLOB_DAT) continue;
      if (gelf_getsym(symbol_data, static_cast<int>(GELF_R_SYM(relocation.r_info)), &symbol) == nullptr) continue;
      const char* name = elf_strptr(elf, symbols_header.sh_link, symbol.st_name);
      if (name != nullptr) code_.imports_[relocation.r_offset] = Demangle(name);
    }
  }

  void AddNeeded(Elf* elf, Elf_Scn* section, const GElf_Shdr& its) {
    Elf_Data* data = elf_getdata(section, nullptr);
    for (size_t i = 0; data != nullptr && its.sh_entsize != 0 && i < its.sh_size / its.sh_entsize; ++i) {
      GElf_Dyn entry;
      if (gelf_getdyn(data, static_cast<int>(i), &entry) == nullptr || entry.d_tag != DT_NEEDED) continue;
      const char* name = elf_strptr(elf, its.sh_link, entry.d_un.d_val);
      if (name != nullptr) code_.needed_.emplace_back(name);
    }
  }

  void AddUnwinding() {
    const auto bytes_at = [this](uint64_t address, uint64_t size) { return code_.Bytes(address, size); };
    for (const ElfCode::Section& section : code_.data_) {
      if (section.name != ".eh_frame") continue;
      for (UnwoundFunction& its : ReadUnwindTables(section.address, section.bytes.size(), bytes_at)) {
        if (!InCode(its.begin)) continue;
        code_.functions_.push_back({its.begin, its.end, "", false});
        if (its.has_call_sites) code_.call_sites_[its.begin] = std::move(its.call_sites);
      }
    }
  }

  // One function an address, the one with a name; where sizes are missing, up to the next.
  void Tidy() {
    auto& all = code_.functions_;
    std::stable_sort(all.begin(), all.end(), [](const Function& a, const Function& b) {
      return a.begin != b.begin ? a.begin < b.begin : a.name.empty() < b.name.empty();
    });
    std::vector<Function> kept;
    for (Function& its : all) {
      if (!kept.empty() && kept.back().begin == its.begin) {
        kept.back().end = std::max(kept.back().end, its.end);
      } else if (kept.empty() || its.end != its.begin || its.begin >= kept.back().end) {
        kept.push_back(std::move(its));
      }
    }
    for (size_t i = 0; i < kept.size(); ++i) {
      const ElfCode::Section* section = code_.SectionAt(kept[i].begin);
      uint64_t limit = section->end();
      if (i + 1 < kept.size()) limit = std::min(limit, kept[i + 1].begin);
      if (kept[i].end == kept[i].begin || kept[i].end > limit) kept[i].end = limit;
    }
    all = std::move(kept);
  }

  bool InCode(uint64_t address) const {
    return std::any_of(code_.code_.begin(), code_.code_.end(), [&](const auto& its) { return its.Has(address); });
  }

  ElfCode& code_;
};

std::optional<ElfCode> ElfCode::Load(const std::string& file, std::string* error) {
  elf_version(EV_CURRENT);
  const int fd = open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    *error = fmt::format("{}: {}", file, strerror(errno));
    return std::nullopt;
  }
  ElfCode code;
  Elf* elf = elf_begin(fd, ELF_C_READ, nullptr);
  *error = elf == nullptr ? elf_errmsg(-1) : ElfReader(&code).Read(elf);
  if (elf != nullptr) elf_end(elf);
  close(fd);
  if (error->empty()) return code;
  *error = fmt::format("{}: {}", file, *error);
  return std::nullopt;
}

const ElfCode::Section* ElfCode::SectionAt(uint64_t address) const {
  for (const auto* sections : {&code_, &data_}) {
    for (const Section& section : *sections) {
      if (section.Has(address)) return &section;
    }
  }
  return nullptr;
}

const Function* ElfCode::FunctionAt(uint64_t address) const {
  auto at = std::upper_bound(functions_.begin(), functions_.end(), address,
                             [](uint64_t wanted, const Function& its) { return wanted < its.begin; });
  if (at == functions_.begin()) return nullptr;
  --at;
  return address < at->end ? &*at : nullptr;
}

std::string ElfCode::CalleeThrough(uint64_t pointer) const {
  const auto import = imports_.find(pointer);
  return import == imports_.end() ? "" : import->second;
}

std::string ElfCode::CalleeAt(uint64_t address) const {
  const Function* function = FunctionAt(address);
  if (function != nullptr && function->begin == address && !function->name.empty()) return function->name;
  // An entry of the linkage table: endbr64, perhaps, then a jump through a pointer (FF 25), perhaps with the prefix F2.
  const std::string_view bytes = Bytes(address, 12);
  for (size_t i = 0; i + 6 <= bytes.size() && i <= 5; ++i) {
    if (bytes[i] != '\xFF' || bytes[i + 1] != '\x25') continue;
    int32_t displacement;
    memcpy(&displacement, bytes.data() + i + 2, 4);
    return CalleeThrough(address + i + 6 + static_cast<uint64_t>(int64_t{displacement}));
  }
  return "";
}

std::string_view ElfCode::Bytes(uint64_t address, uint64_t size) const {
  const Section* section = SectionAt(address);
  if (section == nullptr) return {};
  const uint64_t at = address - section->address;
  return {reinterpret_cast<const char*>(section->bytes.data()) + at, std::min(size, section->bytes.size() - at)};
}

const std::vector<CallSite>* ElfCode::CallSites(uint64_t function) const {
  const auto at = call_sites_.find(function);
  return at == call_sites_.end() ? nullptr : &at->second;
}

}  // namespace lightning::faults
