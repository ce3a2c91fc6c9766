#include "bench/floor_seqlock.h"

#include <bit>
#include <cassert>

namespace lightning::bench {
namespace {

// At most half full, so that most keys stand in their home slot.
uint64_t SlotsFor(uint32_t records) { return std::bit_ceil(uint64_t{records} * 2); }

}  // namespace

size_t SeqlockTable::BytesFor(uint32_t records) {
  return SlotsFor(records) * sizeof(uint64_t) + size_t{records} * sizeof(Record);
}

SeqlockTable::SeqlockTable(void* memory, uint32_t records)
    : slots_(static_cast<uint64_t*>(memory)),
      records_(reinterpret_cast<Record*>(slots_ + SlotsFor(records))),
      mask_(SlotsFor(records) - 1) {}

void SeqlockTable::Load(std::string_view key, const void* value) {
  assert(key.size() <= sizeof(Record::key) && Find(key) == nullptr);
  const uint64_t hash = XXH3_64bits(key.data(), key.size());
  uint64_t i = hash & mask_;
  while (slots_[i] != 0) i = (i + 1) & mask_;
  Record* record = &records_[loaded_];
  record->key_size = key.size();
  std::memcpy(record->key, key.data(), key.size());
  Write(record, value);
  slots_[i] = (hash >> 32) << 32 | ++loaded_;
}

}  // namespace lightning::bench
