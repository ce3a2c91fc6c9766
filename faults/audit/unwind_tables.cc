#include "faults/audit/unwind_tables.h"

#include <dwarf.h>

#include <cstring>
#include <map>
#include <string>

namespace lightning::faults {
namespace {

// Reads on from an address; `failed` once there was nothing more.
class Cursor {
 public:
  Cursor(const BytesAt& bytes_at, uint64_t address) : bytes_at_(bytes_at), address_(address) {}

  template <typename T>
  T Fixed() {
    T value{};
    const std::string_view bytes = bytes_at_(address_, sizeof value);
    if (bytes.size() < sizeof value) {
      failed = true;
    } else {
      memcpy(&value, bytes.data(), sizeof value);
    }
    address_ += sizeof value;
    return value;
  }
  uint64_t Leb(bool is_signed) {
    uint64_t value = 0;
    for (uint32_t shift = 0; shift < 64; shift += 7) {
      const auto byte = Fixed<uint8_t>();
      value |= uint64_t{byte & 0x7Fu} << shift;
      if ((byte & 0x80) != 0) continue;
      if (is_signed && (byte & 0x40) != 0 && shift + 7 < 64) value |= ~uint64_t{0} << (shift + 7);
      return value;
    }
    failed = true;
    return 0;
  }
  // A pointer in one of DWARF's encodings. Zero stays zero: it stands for none.
  uint64_t Encoded(uint8_t encoding) {
    const uint64_t here = address_;
    uint64_t value = 0;
    switch (encoding & 0x0F) {
      case DW_EH_PE_absptr:
      case DW_EH_PE_udata8:
      case DW_EH_PE_sdata8:
        value = Fixed<uint64_t>();
        break;
      case DW_EH_PE_uleb128:
      case DW_EH_PE_sleb128:
        value = Leb((encoding & 0x08) != 0);
        break;
      case DW_EH_PE_udata2:
        value = Fixed<uint16_t>();
        break;
      case DW_EH_PE_udata4:
        value = Fixed<uint32_t>();
        break;
      case DW_EH_PE_sdata4:
        value = static_cast<uint64_t>(int64_t{Fixed<int32_t>()});
        break;
      default:
        failed = true;
    }
    if (value != 0 && (encoding & 0x70) == DW_EH_PE_pcrel) value += here;
    return value;
  }
  uint64_t address() const { return address_; }
  void Skip(uint64_t size) { address_ += size; }

  bool failed = false;

 private:
  const BytesAt& bytes_at_;
  uint64_t address_;
};

// What the common part says about the entries that refer to it.
struct Common {
  uint8_t pointers = DW_EH_PE_absptr, table = DW_EH_PE_omit;
  bool augmented = false;
};

Common ReadCommon(Cursor cursor) {
  Common common;
  const auto version = cursor.Fixed<uint8_t>();
  std::string augmentation;
  for (auto c = cursor.Fixed<char>(); c != 0 && !cursor.failed; c = cursor.Fixed<char>()) augmentation += c;
  cursor.Leb(false);
  cursor.Leb(true);
  version == 1 ? static_cast<void>(cursor.Fixed<uint8_t>()) : static_cast<void>(cursor.Leb(false));
  common.augmented = augmentation.starts_with("z");
  if (!common.augmented) return common;
  cursor.Leb(false);
  for (const char c : augmentation.substr(1)) {
    if (c == 'R') common.pointers = cursor.Fixed<uint8_t>();
    if (c == 'L') common.table = cursor.Fixed<uint8_t>();
    if (c == 'P') {
      const auto encoding = cursor.Fixed<uint8_t>();
      cursor.Encoded(encoding);
    }
  }
  return common;
}

bool ReadCallSites(Cursor cursor, UnwoundFunction* function) {
  uint64_t start = function->begin;
  if (const auto encoding = cursor.Fixed<uint8_t>(); encoding != DW_EH_PE_omit) start = cursor.Encoded(encoding);
  if (cursor.Fixed<uint8_t>() != DW_EH_PE_omit) cursor.Leb(false);
  const auto encoding = cursor.Fixed<uint8_t>();
  const uint64_t length = cursor.Leb(false);
  const uint64_t end = cursor.address() + length;
  while (cursor.address() < end && !cursor.failed) {
    const uint64_t from = cursor.Encoded(encoding), size = cursor.Encoded(encoding), pad = cursor.Encoded(encoding);
    cursor.Leb(false);
    function->call_sites.push_back({function->begin + from, function->begin + from + size, pad == 0 ? 0 : start + pad});
  }
  return !cursor.failed;
}

}  // namespace

std::vector<UnwoundFunction> ReadUnwindTables(uint64_t eh_frame, uint64_t size, const BytesAt& bytes_at) {
  std::vector<UnwoundFunction> functions;
  std::map<uint64_t, Common> commons;
  Cursor cursor(bytes_at, eh_frame);
  while (cursor.address() + 4 <= eh_frame + size && !cursor.failed) {
    const uint64_t begin = cursor.address();
    uint64_t length = cursor.Fixed<uint32_t>();
    if (length == 0) break;
    if (length == 0xFFFFFFFF) length = cursor.Fixed<uint64_t>();
    const uint64_t after_length = cursor.address();
    const auto id = cursor.Fixed<uint32_t>();
    if (id == 0) {
      commons[begin] = ReadCommon(cursor);
    } else if (const auto common = commons.find(after_length - id); common != commons.end()) {
      UnwoundFunction function;
      Cursor entry = cursor;
      function.begin = entry.Encoded(common->second.pointers);
      function.end = function.begin + entry.Encoded(common->second.pointers & 0x0F);
      if (common->second.augmented) entry.Leb(false);
      if (common->second.table != DW_EH_PE_omit) {
        const uint64_t table = entry.Encoded(common->second.table);
        function.has_call_sites = table != 0 && ReadCallSites(Cursor(bytes_at, table), &function);
      }
      if (!entry.failed) functions.push_back(std::move(function));
    }
    cursor.Skip(after_length + length - cursor.address());
  }
  return functions;
}

}  // namespace lightning::faults
