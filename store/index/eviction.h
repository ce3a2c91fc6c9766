// Which objects to evict: those least recently used. A read is noted in the reader's own page (rule 8: readers write
// nothing that others write), in a table that may forget; an object that no table knows counts from when it was made.
#pragma once

#include <cstdint>
#include <vector>

#include "store/index/pins.h"
#include "store/segment/segment.h"

namespace lightning {

inline void NoteUse(ClientPage& page, ObjectId id, uint64_t ticks) {
  Recency& slot = page.recency[id.index() % kRecencySlots];
  slot.object.store(id.value, std::memory_order_relaxed);
  slot.tick.store(ticks, std::memory_order_relaxed);
}

struct Candidate {
  ObjectId id;
  uint64_t tick;
  uint64_t bytes;
};

inline constexpr uint32_t kEvictionWindow = 65'536;  // objects one scan looks at

// The sealed, unpinned objects among kEvictionWindow from object index `hand` on, the least recently used first.
// `*next_hand`: where the next scan goes on. REQUIRES: no window open.
std::vector<Candidate> EvictionCandidates(const Segment& segment, const PinnedObjects& pinned, uint64_t hand,
                                          uint64_t* next_hand);

}  // namespace lightning
