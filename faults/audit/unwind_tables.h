// .eh_frame and .gcc_except_table, as far as an audit needs them: which functions there are, and where a call that
// throws goes on. After the Linux Standard Base (Core, 10.6) and the Itanium C++ ABI's exception handling tables.
#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "faults/audit/elf_code.h"

namespace lightning::faults {

struct UnwoundFunction {
  uint64_t begin = 0, end = 0;
  bool has_call_sites = false;
  std::vector<CallSite> call_sites;
};

// At most so many bytes that are loaded at an address.
using BytesAt = std::function<std::string_view(uint64_t address, uint64_t size)>;

// What cannot be read is left out.
std::vector<UnwoundFunction> ReadUnwindTables(uint64_t eh_frame, uint64_t size, const BytesAt& bytes_at);

}  // namespace lightning::faults
