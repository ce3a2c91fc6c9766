// The floor of the YCSB runs: a fixed array of 1 KB records in shared memory, found by hash, one seqlock each. No
// allocator, no log, no recovery: what the work would cost if safety cost nothing. (Seqlocks: Boehm, "Can seqlocks get
// along with programming language memory models?", MSPC 2012.)
//
// The hash table and the keys are constant once loaded, so a lookup takes no lock. A writer that dies inside a record
// blocks it for good; that is the point of a floor.
#pragma once

#define XXH_INLINE_ALL  // a call into the library would slow the floor down
#include <immintrin.h>
#include <sched.h>
#include <xxhash.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "bench/workload.h"

namespace lightning::bench {

class SeqlockTable {
 public:
  struct alignas(64) Record {
    std::atomic<uint64_t> sequence;  // odd while a writer is inside
    uint64_t present;                // under the seqlock
    uint64_t key_size;               // constant once loaded, like the key
    char key[40];
    std::byte value[kValueSize];
  };
  static_assert(offsetof(Record, value) == 64);

  // Bytes of zeroed shared memory for `records` records; `memory` must be that large and 64-byte aligned.
  static size_t BytesFor(uint32_t records);
  SeqlockTable(void* memory, uint32_t records);

  // Adds a key. One process, before any other call. REQUIRES: a new key of at most 40 bytes, fewer than `records` yet.
  void Load(std::string_view key, const void* value);

  // Null when the key was never loaded.
  Record* Find(std::string_view key) const {
    const uint64_t hash = XXH3_64bits(key.data(), key.size());
    const uint64_t tag = hash >> 32;
    for (uint64_t i = hash & mask_;; i = (i + 1) & mask_) {
      const uint64_t slot = slots_[i];
      if (slot == 0) return nullptr;
      if (slot >> 32 != tag) continue;
      Record* record = &records_[(slot & 0xFFFF'FFFF) - 1];
      // All its lines at once, as the store does for its values: the processor alone finds the rest of them later.
      for (size_t line = 0; line < sizeof(Record); line += 64)
        __builtin_prefetch(reinterpret_cast<const std::byte*>(record) + line);
      if (record->key_size == key.size() && std::memcmp(record->key, key.data(), key.size()) == 0) return record;
    }
  }

  // Calls visit(value) on the record's own bytes until it saw them undisturbed. False when the record is absent; what
  // visit computed before a false or a repeated call is void. (The reads race by design; the sequence tells.)
  template <typename Visit>
  static bool Read(const Record* record, Visit visit) {
    for (uint32_t spins = 0;; ++spins) {
      const uint64_t before = record->sequence.load(std::memory_order_acquire);
      if ((before & 1) == 0) {
        const bool present = record->present != 0;
        if (present) visit(static_cast<const void*>(record->value));
        std::atomic_thread_fence(std::memory_order_acquire);
        if (record->sequence.load(std::memory_order_relaxed) == before) return present;
      }
      Relax(spins);
    }
  }

  // Inserts or replaces.
  static void Write(Record* record, const void* value) {
    const uint64_t sequence = Lock(record);
    std::memcpy(record->value, value, kValueSize);
    record->present = 1;
    Unlock(record, sequence);
  }

  // change(old) returns the new value's bytes; one lock for both. False when the record is absent.
  template <typename Change>
  static bool Modify(Record* record, Change change) {
    const uint64_t sequence = Lock(record);
    const bool present = record->present != 0;
    if (present) std::memcpy(record->value, change(static_cast<const void*>(record->value)), kValueSize);
    Unlock(record, sequence);
    return present;
  }

  static bool Erase(Record* record) {
    const uint64_t sequence = Lock(record);
    const bool present = record->present != 0;
    record->present = 0;
    Unlock(record, sequence);
    return present;
  }

 private:
  // A writer may have lost its processor: after a while, let it run.
  static void Relax(uint32_t spins) {
    if (spins % 1024 == 1023) {
      sched_yield();
    } else {
      _mm_pause();
    }
  }
  static uint64_t Lock(Record* record) {
    for (uint32_t spins = 0;; ++spins) {
      uint64_t sequence = record->sequence.load(std::memory_order_relaxed);
      if ((sequence & 1) == 0 &&
          record->sequence.compare_exchange_weak(sequence, sequence + 1, std::memory_order_acquire)) {
        std::atomic_thread_fence(std::memory_order_release);
        return sequence;
      }
      Relax(spins);
    }
  }
  static void Unlock(Record* record, uint64_t sequence) {
    record->sequence.store(sequence + 2, std::memory_order_release);
  }

  // Upper half: upper half of the key's hash; lower half: record number plus one. 0: empty.
  uint64_t* slots_;
  Record* records_;
  uint64_t mask_;
  uint32_t loaded_ = 0;
};

}  // namespace lightning::bench
