// Keys and objects: how a key is hashed and compared, and where an object's bytes stand in the heap.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "store/heap/block_heap.h"
#include "store/segment/segment.h"

namespace lightning {

// A caller's key, prepared once an operation. Borrows the bytes.
struct Key {
  std::string_view bytes;
  uint64_t hash = 0;
  uint32_t words_used = 0;    // of `words`
  uint64_t words[kKeyWords];  // the first kInlineKey bytes, the last of words_used padded with zeroes

  Key(const Segment& segment, std::string_view key);
};

// One object's words, read one by one: consistent only under the home bucket's lock, under a pin, or once the reader
// has seen that the lock word did not change meanwhile.
struct ObjectFields {
  ObjectHead head;
  uint64_t version, payload, size;
  uint32_t metadata_size;
  BlockId block;

  static ObjectFields Read(const Object& object) {
    const uint64_t storage = object.storage.Load();
    return {ObjectHead::Decode(object.head.Load()),
            object.version.Load(),
            object.payload.Load(),
            object.size.Load(),
            High(storage),
            BlockId{Low(storage)}};
  }
  bool long_key() const { return head.key_size > kInlineKey; }
  // Bytes after the value: a long key, then the metadata.
  uint64_t tail_size() const { return (long_key() ? head.key_size : 0u) + uint64_t{metadata_size}; }
  uint64_t tail() const { return payload + ValueRoom(size, head.page_aligned); }
  uint64_t metadata() const { return tail() + (long_key() ? head.key_size : 0u); }
  // What the object's extent has to hold; zero when it needs none.
  uint64_t granules() const { return Granules(ValueRoom(size, head.page_aligned) + tail_size()); }
  // Whether all its bytes lie in the heap, as they do unless the words are torn or corrupt.
  bool Sane(const Segment& segment) const;

  static uint64_t ValueRoom(uint64_t size, bool page_aligned) {
    return RoundUp(size, page_aligned ? kPageSize : kGranule);
  }
};

// Where the value begins, in granules from the heap's start; 0 when the object has no block.
inline uint32_t ValueGranule(const Segment& segment, const Object& object) {
  const uint64_t payload = object.payload.Load();
  return payload == 0 ? 0 : static_cast<uint32_t>((payload - segment.geometry().heap) / kGranule);
}

// Whether the object has this key. Reads at most what the heap holds, whatever the words say.
bool KeyEquals(const Segment& segment, const Object& object, const Key& key);
// Copies the object's key; empty when the words make no sense.
std::string KeyOf(const Segment& segment, const Object& object);
// The hash of the object's key, without allocating, for use inside windows.
uint64_t HashOf(const Segment& segment, const Object& object);

}  // namespace lightning
