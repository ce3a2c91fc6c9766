#include "store/index/object.h"

#include <algorithm>
#include <cstring>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace lightning {

Key::Key(const Segment& segment, std::string_view key) : bytes(key) {
  hash = XXH3_64bits_withSeed(key.data(), key.size(), segment.super().hash_seed);
  const size_t size = std::min<size_t>(key.size(), kInlineKey);
  words_used = static_cast<uint32_t>((size + 7) / 8);
  if (size % 8 != 0) words[words_used - 1] = 0;
  memcpy(words, key.data(), size);
}

bool ObjectFields::Sane(const Segment& segment) const {
  if (head.key_size == 0 || head.key_size > kMaxKeySize || metadata_size > kMaxMetadataSize) return false;
  if (size == 0 && tail_size() == 0) return true;
  const Geometry& g = segment.geometry();
  return size <= g.size && segment.InHeap(payload, 0) && segment.InHeap(tail(), tail_size());
}

bool KeyEquals(const Segment& segment, const Object& object, const Key& key) {
  const uint64_t head = object.head.Load();
  if (ObjectHead::Decode(head).key_size != key.bytes.size()) return false;
  for (uint32_t i = 0; i < key.words_used; ++i) {
    if (object.key[i].Load() != key.words[i]) return false;
  }
  if (key.bytes.size() <= kInlineKey) return true;
  const ObjectFields fields = ObjectFields::Read(object);
  if (!fields.Sane(segment) || fields.head.key_size != key.bytes.size()) return false;
  return memcmp(segment.bytes(fields.tail()), key.bytes.data(), key.bytes.size()) == 0;
}

namespace {

// Copies the key to `buffer` of kMaxKeySize bytes; its size, or 0 when the words make no sense.
size_t CopyKey(const Segment& segment, const Object& object, char* buffer) {
  const ObjectFields fields = ObjectFields::Read(object);
  if (!fields.Sane(segment)) return 0;
  if (fields.long_key()) {
    memcpy(buffer, segment.bytes(fields.tail()), fields.head.key_size);
    return fields.head.key_size;
  }
  uint64_t words[kKeyWords];
  for (uint32_t i = 0; i < kKeyWords; ++i) words[i] = object.key[i].Load();
  memcpy(buffer, words, fields.head.key_size);
  return fields.head.key_size;
}

}  // namespace

std::string KeyOf(const Segment& segment, const Object& object) {
  char buffer[kMaxKeySize];
  return std::string(buffer, CopyKey(segment, object, buffer));
}

uint64_t HashOf(const Segment& segment, const Object& object) {
  char buffer[kMaxKeySize];
  const size_t size = CopyKey(segment, object, buffer);
  return Key(segment, std::string_view(buffer, size)).hash;
}

}  // namespace lightning
