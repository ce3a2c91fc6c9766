// What a store should hold: a plain map. Values are described, not kept: every byte follows from a tag, so that a torn
// or mixed value is seen whichever bytes it is made of.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "lightning/client.h"

namespace lightning::faults {

struct Item {
  uint64_t tag = 0;  // says all bytes of value and metadata
  uint64_t size = 0;
  uint32_t metadata_size = 0;
  bool whole_pages = false;  // made by Create with so large a size that it has pages of its own
  friend bool operator==(const Item&, const Item&) = default;
};

using Content = std::map<std::string, Item>;

// The bytes that a tag stands for; SetPattern uses the string's memory again.
void FillPattern(std::byte* to, uint64_t size, uint64_t tag);
void SetPattern(std::string* bytes, uint64_t size, uint64_t tag);
std::string Pattern(uint64_t size, uint64_t tag);
bool MatchesPattern(Bytes bytes, uint64_t tag);
inline uint64_t MetadataTag(uint64_t tag) { return ~tag * 0x9E37'79B9'7F4A'7C15; }

// Bytes that the item takes of the heap: the value in granules of 64 bytes (or in pages), then what stands behind it: a
// key that is too long for the object's own record, and the metadata.
uint64_t HeapBytes(std::string_view key, const Item& item);
uint64_t HeapBytes(const Content& content);

// Create gives pages of its own to values from this size on.
inline constexpr uint64_t kWholePagesFrom = 64 * 1024;

// Short and printable, for messages.
std::string ShowKey(std::string_view key);

}  // namespace lightning::faults
