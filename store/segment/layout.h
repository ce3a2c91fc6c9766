// The bytes of a segment: what stands where, and in which unit. docs/segment-format.md tells the same in prose.
//
//   superblock | central | client slots | buckets | objects | blocks | events | client pages | doorbells | heap
//   '------------------- control region, under the gate ----------------------'
//
// Nothing here is an address: tables are indexed by typed ids, of which zero means none.
#pragma once

#include <cstddef>
#include <cstdint>

#include "lightning/options.h"
#include "store/segment/atomic.h"
#include "store/segment/cell.h"

namespace lightning {

// An index into one of the tables, one-based: zero is "none".
template <typename Tag>
struct Id {
  uint32_t value = 0;
  constexpr explicit operator bool() const { return value != 0; }
  constexpr uint32_t index() const { return value - 1; }
  friend constexpr bool operator==(Id, Id) = default;
};
using ObjectId = Id<struct ObjectTag>;
using BlockId = Id<struct BlockTag>;
using BucketId = Id<struct BucketTag>;
using SlotIndex = uint32_t;  // zero-based: there is no "none" among slots

inline constexpr uint64_t kMagic = 0x31474E4E4854474C;  // "LGTHNNG1", little-endian
inline constexpr uint32_t kFormatVersion = 2;
inline constexpr uint64_t kPageSize = 4096;
inline constexpr uint32_t kMaxClientSlots = 1024;

// --- Superblock: written once, before the segment has a name; constant from then on.
struct Superblock {
  uint64_t magic;
  uint32_t format_version;
  uint32_t superblock_size;  // bytes, a check on the layout
  uint64_t size;             // bytes of the file
  uint64_t hash_seed;
  uint32_t max_objects, max_clients, max_pins, event_slots;
  uint32_t eviction;
  uint32_t reserved;
  uint64_t segment_id;  // random, tells two segments of one name apart
  uint64_t checksum;    // XXH3 of all the above with this field zero
};
static_assert(sizeof(Superblock) <= kPageSize);

// --- Central state: what clients draw on when their own caches run dry. Covered by `lock`, but for the events.
inline constexpr uint32_t kSecondLevel = 16;  // bins for each power of two (TLSF, Masmano et al. 2004)
inline constexpr uint32_t kFirstLevel = 29;   // 4 bits of the 32-bit granule count are the second level
inline constexpr uint32_t kBins = kFirstLevel * kSecondLevel;

struct Central {
  alignas(64) StateWord slots_used;  // slots from this index on were never attached to; it only grows
  alignas(64) LockWord lock;
  Cell free_granules;     // sum over all free blocks
  Cell block_free_list;   // BlockId, through Block::free_links
  Cell block_unused;      // block descriptors from this index on were never used
  Cell object_free_list;  // ObjectId, through Object::links
  Cell object_unused;
  Cell object_free_count;   // ids in the list or never used
  Cell overflow_free_list;  // BucketId, through Bucket::next
  Cell overflow_unused;
  Cell credits;      // rights to add an object that no client holds
  Cell orphan_head;  // retired objects whose client is gone and which some reader still pins
  Cell orphan_count;
  Cell orphan_bytes;
  Cell recoveries;
  Cell evictions;
  Cell evict_hand;  // object index at which the next eviction scan begins

  alignas(64) LockWord event_lock;  // taken after every other lock
  Cell event_head;                  // sequence number of the next event
  Cell subscribers;

  alignas(64) Cell first_level;  // bit f: some bin of second_level[f] is not empty
  Cell second_level[kFirstLevel];
  Cell bins[kBins];  // BlockId, the most recently freed first
};

// --- Client slots.
inline constexpr uint32_t kIdCache = 64;  // ids and blocks one client keeps at hand
inline constexpr uint32_t kBlockCache = 64;
inline constexpr uint32_t kMaxHeldLocks = kMaxBatchSize + 4;
inline constexpr uint32_t kLogCapacity = 1536;  // entries; docs/decisions has the sum that bounds it

// Undo: `old` is what the word at byte `offset` of the segment held (rule 2).
struct LogEntry {
  OwnWord offset;
  OwnWord old;
};

struct Slot {
  StateWord state;
  // Who the client is, written before `state` becomes active (rule 7).
  OwnWord pid;
  OwnWord start_time;  // clock ticks since boot, with a mark of the program: kernel/linux_kernel.cc
  OwnWord namespaces;  // of pids and of time
  OwnWord boot;
  OwnWord attach_time;  // nanoseconds, for people
  OwnWord activity;     // odd inside a transaction; lets a reader see that nothing moved

  // Covered by `lock`, which the client holds during each operation that changes the store, and which others take to
  // get at what it keeps at hand.
  alignas(64) LockWord lock;
  Cell credits;
  Cell retired_head;  // ObjectId: unlinked, waiting for readers, through Object::links
  Cell retired_count;
  Cell retired_bytes;
  Cell unsealed_head;  // ObjectId, doubly linked through Object::links
  Cell subscriptions;
  Cell id_count;
  Cell ids[kIdCache];  // ObjectId
  Cell block_count;
  Cell blocks[kBlockCache];  // granules, BlockId
  Cell places[kBlockCache];  // where each begins, in granules: saves a look into the block table

  alignas(64) OwnWord held_count;
  OwnWord held[kMaxHeldLocks];  // byte offsets of lock words, written before each is taken
  alignas(64) OwnWord log_count;
  OwnWord log_padding;
  LogEntry log[kLogCapacity];
};

// --- Index: chains of buckets. The lock of a home bucket covers its whole chain and every object linked from it.
// `places` tells where the values stand, so that a reader has object and value fetched at once and not one after the
// other: docs/decisions/2026-11-23-places-in-the-bucket.md. Written with the entry, and exact for each entry in use.
// Chains are compact, so that most operations need no more than a bucket's first cache line.
inline constexpr uint32_t kBucketEntries = 8;
inline constexpr uint32_t kLineEntries = kBucketEntries / 2;
struct alignas(128) Bucket {
  struct Entries {
    Cell places[kLineEntries / 2];  // two to a word, the first in the lower half: granules from the heap's start
    Cell entries[kLineEntries];
  };
  LockWord lock;  // of a home bucket; unused in an overflow bucket
  Cell versions;  // the largest version given to an object of this chain; it never falls
  Entries first;
  Cell next;  // BucketId of the overflow bucket that goes on
  Cell reserved;
  Entries second;

  const Cell& entry(uint32_t i) const { return (i < kLineEntries ? first : second).entries[i % kLineEntries]; }
  const Cell& places(uint32_t i) const { return (i < kLineEntries ? first : second).places[i % kLineEntries / 2]; }
};
static_assert(sizeof(Bucket) == 128 && offsetof(Bucket, next) == 64);

// An index entry: bits 0..31 ObjectId (0: free), bit 32 unsealed, bits 33..37 lines of the value (31: or more), bits
// 38..63 the low bits of the key's hash.
inline constexpr uint64_t kEntryUnsealed = uint64_t{1} << 32;
inline constexpr uint64_t kEntryMostLines = 31;
constexpr uint64_t MakeEntry(ObjectId id, uint64_t hash, uint64_t size, bool unsealed) {
  const uint64_t lines = size > kEntryMostLines * 64 ? kEntryMostLines : (size + 63) / 64;
  return hash << 38 | lines << 33 | (unsealed ? kEntryUnsealed : 0) | id.value;
}
constexpr ObjectId EntryObject(uint64_t entry) { return {Low(entry)}; }
constexpr bool EntryUnsealed(uint64_t entry) { return (entry & kEntryUnsealed) != 0; }
constexpr uint32_t EntryLines(uint64_t entry) { return static_cast<uint32_t>(entry >> 33 & kEntryMostLines); }
constexpr bool EntryMatches(uint64_t entry, uint64_t hash) { return entry >> 38 == (hash & 0x3FF'FFFF) && Low(entry); }

// --- Objects. The first cache line is all that a get of a key of up to 24 bytes reads.
enum class ObjectState : uint8_t { kFree = 0, kUnsealed = 1, kSealed = 2, kRetired = 3 };
inline constexpr uint32_t kKeyWords = 9;
inline constexpr uint32_t kInlineKey = kKeyWords * 8;  // bytes; a longer key stands in the heap, after the value

struct alignas(64) Object {
  Cell head;  // ObjectHead
  Cell version;
  Cell payload;  // byte offset of the value in the segment; 0 when the object has no block
  Cell size;     // bytes of the value
  Cell storage;  // bytes of metadata, BlockId
  Cell key[kKeyWords];
  Cell links;  // previous, next ObjectId of the list it is in
  Cell tick;   // when it was made, for eviction
};
static_assert(sizeof(Object) == 128);

struct ObjectHead {
  ObjectState state = ObjectState::kFree;
  bool page_aligned = false;  // the value has whole pages to itself
  uint16_t key_size = 0;
  uint16_t owner = 0;  // slot of the creator, while unsealed

  constexpr uint64_t Encode() const {
    return uint64_t{static_cast<uint8_t>(state)} | uint64_t{page_aligned} << 8 | uint64_t{key_size} << 16 |
           uint64_t{owner} << 32;
  }
  static constexpr ObjectHead Decode(uint64_t word) {
    return {static_cast<ObjectState>(word & 0xFF), (word >> 8 & 1) != 0, static_cast<uint16_t>(word >> 16),
            static_cast<uint16_t>(word >> 32)};
  }
};

// --- Blocks: the extents of the heap in address order, out of line so that a stray write into the heap meets no
// header.
enum class BlockState : uint8_t { kUnused = 0, kFree = 1, kUsed = 2 };
struct alignas(32) Block {
  Cell extent;      // offset, size in granules from the heap's start
  Cell neighbours;  // previous, next BlockId by address
  Cell free_links;  // previous, next BlockId of its bin; next of the list of unused descriptors
  Cell state;       // BlockState
};
static_assert(sizeof(Block) == 32);

// The bin whose blocks have this many granules: 16 to a power of two, so that sizes in a bin differ by less than 1/16.
constexpr uint32_t BinOf(uint32_t granules) {
  if (granules < kSecondLevel) return granules;
  const uint32_t log = 31u - static_cast<uint32_t>(__builtin_clz(granules));
  return (log - 3) * kSecondLevel + (granules >> (log - 4)) - kSecondLevel;
}
static_assert(BinOf(15) == 15 && BinOf(16) == 16 && BinOf(31) == 31 && BinOf(32) == 32 && BinOf(33) == 32);
static_assert(BinOf(~0u) == kBins - 1);

// --- Events. A slot's payload is no control state: `sequence` says which event it holds, kNoEvent while it changes.
inline constexpr uint64_t kNoEvent = ~uint64_t{0};
struct alignas(64) EventSlot {
  OwnWord sequence;
  OwnWord kind_and_key_size;
  OwnWord version;
  OwnWord size;
  char key[kMaxKeySize];
};

// --- Outside the gate. A stray write here hurts only the client whose page it is: others take it for hints (rule 8).
struct Recency {
  Atomic<uint32_t> object;  // ObjectId
  Atomic<uint32_t> padding;
  Atomic<uint64_t> tick;
};
inline constexpr uint32_t kRecencySlots = 1024;  // direct-mapped by object index

struct ClientPage {
  Atomic<uint32_t> pins_used;  // pins from this index on were not used since attach
  Atomic<uint32_t> padding;
  Atomic<uint64_t> gets, puts, deletes;
  alignas(64) Recency recency[kRecencySlots];
  alignas(64) Atomic<uint32_t> pins[1];  // ObjectId; Superblock::max_pins of them
};

struct alignas(64) Doorbell {
  Atomic<uint32_t> rung;     // futex word
  Atomic<uint32_t> waiting;  // not zero: somebody may sleep
};
inline constexpr uint32_t kDoorbells = kPageSize / sizeof(Doorbell);
inline constexpr uint32_t kEventDoorbell = 0;  // the others are shared out among buckets

}  // namespace lightning
