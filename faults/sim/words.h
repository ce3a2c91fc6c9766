// What each word of a segment means to the harness: whether a crash can be told by it, what a store to it is a step of,
// and whose it is. One look by offset, made once for a geometry.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

#include "store/segment/segment.h"

namespace lightning::faults {

enum class WordKind : uint8_t {
  kIgnored,    // recovery never looks at it: counters, clocks, doorbells
  kLogOffset,  // an undo entry's two words; from here to kHeldCount a living client's are its own (IsPrivateTo)
  kLogOld,
  kLogCount,
  kHeld,  // the list of locks a client may hold
  kHeldCount,
  kConstant,  // the superblock, padding
  kCell,      // shared control state: only logged writes (rule 1)
  kSlotCell,  // the same, but of one client's slot
  kLock,
  kState,      // a slot's life
  kSlotsUsed,  // how many slots were ever used
  kIdentity,   // who a client is
  kEvent,      // an event slot's words, its key included
  kPin,        // two pins
  kPinsUsed,
  kPayload,  // bytes of the heap
};

struct WordInfo {
  WordKind kind = WordKind::kPayload;
  uint8_t slot = 0;    // of a client, where it belongs to one
  uint16_t index = 0;  // of a log entry or a held lock

  // Nobody else acts on it while the client lives. Only Check looks at the two counts, to tell whether somebody is
  // inside an operation, and at the slot's `activity`, which says the same and keeps its place among all other stores.
  bool IsPrivateTo(int client) const {
    return kind >= WordKind::kLogOffset && kind <= WordKind::kHeldCount && slot == client;
  }
};

class WordMap {
 public:
  // REQUIRES: at most 256 client slots.
  WordMap(const Segment& segment, bool ticks_matter);

  // `offset`: in bytes, of any byte of the word.
  const WordInfo& At(uint64_t offset) const { return offset < heap_ ? words_[offset / 8] : payload_; }

 private:
  void Set(uint64_t begin, uint64_t end, WordKind kind, SlotIndex slot = 0);
  void AddSlots(const Geometry& g);
  void AddTables(const Segment& segment, bool ticks_matter);

  uint64_t heap_ = 0;
  std::vector<WordInfo> words_;
  const WordInfo payload_{};
};

const char* WordKindName(WordKind kind);

// A word of 4 or 8 bytes. (Of a size that the compiler does not know, memcpy is a call.)
inline uint64_t LoadWord(const std::byte* place, uint32_t size) {
  if (size == 8) {
    uint64_t word;
    memcpy(&word, place, 8);
    return word;
  }
  uint32_t half;
  memcpy(&half, place, 4);
  return half;
}

}  // namespace lightning::faults
