// The code of an ELF program or shared library as it stands in the file: its bytes, its functions, who is called by
// which address, and where an exception goes on.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lightning::faults {

struct Function {
  uint64_t begin = 0, end = 0;
  std::string name;   // demangled; "" when only the unwind information knows of it
  bool part = false;  // the compiler's cold part of another function: reached by jumps alone
};

// A call (or several) that may throw, by the tables of the Itanium C++ ABI.
struct CallSite {
  uint64_t begin = 0, end = 0;
  uint64_t landing_pad = 0;  // 0: the exception passes through
};

class ElfCode {
 public:
  struct Section {
    uint64_t address = 0;
    std::string name;
    std::vector<uint8_t> bytes;
    uint64_t end() const { return address + bytes.size(); }
    bool Has(uint64_t at, uint64_t size = 1) const { return at >= address && at + size <= end(); }
  };

  // `*error` says why there is none: not an ELF file of x86-64, not linked, not readable.
  static std::optional<ElfCode> Load(const std::string& file, std::string* error);

  const std::vector<Section>& code() const { return code_; }
  // Sorted by address; no two overlap.
  const std::vector<Function>& functions() const { return functions_; }
  const Function* FunctionAt(uint64_t address) const;
  // Who is called at this address: a function that begins there, or what an entry of the procedure linkage table leads
  // to. "" when nobody knows.
  std::string CalleeAt(uint64_t address) const;
  // Who is called through the pointer at this address; "" when the file does not say.
  std::string CalleeThrough(uint64_t pointer) const;
  // Bytes that are loaded there; empty when the file has none.
  std::string_view Bytes(uint64_t address, uint64_t size) const;
  // Null: the function that begins there has no table. Exceptions pass through it, or cannot occur in it.
  const std::vector<CallSite>* CallSites(uint64_t function) const;
  // File names of the libraries it needs.
  const std::vector<std::string>& needed() const { return needed_; }

 private:
  friend class ElfReader;
  const Section* SectionAt(uint64_t address) const;

  std::vector<Section> code_, data_;
  std::vector<Function> functions_;
  std::map<uint64_t, std::string> imports_;  // by the address of the pointer
  std::map<uint64_t, std::vector<CallSite>> call_sites_;
  std::vector<std::string> needed_;
};

std::string Demangle(const char* name);

}  // namespace lightning::faults
