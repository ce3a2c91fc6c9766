#include "faults/model/content.h"

#include <fmt/format.h>

#include <cstring>

namespace lightning::faults {
namespace {

uint64_t Word(uint64_t tag, uint64_t index) {
  uint64_t x = tag + (index + 1) * 0x9E37'79B9'7F4A'7C15;
  x = (x ^ (x >> 29)) * 0xBF58'476D'1CE4'E5B9;
  return x ^ (x >> 32);
}

uint64_t RoundedUp(uint64_t value, uint64_t unit) { return (value + unit - 1) / unit * unit; }

}  // namespace

void FillPattern(std::byte* to, uint64_t size, uint64_t tag) {
  uint64_t at = 0;
  for (; at + 8 <= size; at += 8) {
    const uint64_t word = Word(tag, at / 8);
    memcpy(to + at, &word, 8);
  }
  const uint64_t last = Word(tag, at / 8);
  if (at < size) memcpy(to + at, &last, size - at);
}

void SetPattern(std::string* bytes, uint64_t size, uint64_t tag) {
  bytes->resize(size);
  FillPattern(reinterpret_cast<std::byte*>(bytes->data()), size, tag);
}

std::string Pattern(uint64_t size, uint64_t tag) {
  std::string bytes;
  SetPattern(&bytes, size, tag);
  return bytes;
}

bool MatchesPattern(Bytes bytes, uint64_t tag) {
  for (uint64_t at = 0; at < bytes.size(); at += 8) {
    const uint64_t word = Word(tag, at / 8);
    if (memcmp(bytes.data() + at, &word, bytes.size() - at < 8 ? bytes.size() - at : 8) != 0) return false;
  }
  return true;
}

uint64_t HeapBytes(std::string_view key, const Item& item) {
  constexpr uint64_t kKeyOwnRecord = 72, kPage = 4096;
  const uint64_t value = RoundedUp(item.size, item.whole_pages ? kPage : kGranule);
  return RoundedUp(value + (key.size() > kKeyOwnRecord ? key.size() : 0) + item.metadata_size, kGranule);
}

uint64_t HeapBytes(const Content& content) {
  uint64_t total = 0;
  for (const auto& [key, item] : content) total += HeapBytes(key, item);
  return total;
}

std::string ShowKey(std::string_view key) {
  std::string text;
  for (const char c : key.substr(0, 24)) {
    const auto byte = static_cast<unsigned char>(c);
    text += byte >= 0x20 && byte < 0x7F ? std::string(1, c) : fmt::format("\\x{:02x}", byte);
  }
  return key.size() > 24 ? fmt::format("\"{}...\" ({} bytes)", text, key.size()) : fmt::format("\"{}\"", text);
}

}  // namespace lightning::faults
