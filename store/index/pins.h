// Pins: what keeps an object's bytes where they are while a handle lives (rule 8). A pin is a word in a page of the
// client's own, outside the gate; others take it for a hint, so that a stray write there hurts only that client.
#pragma once

#include <cstdint>
#include <vector>

#include "store/kernel/spin_lock.h"
#include "store/segment/segment.h"

namespace lightning {

// Hands out the pins of one client. Thread-safe; this part is private memory.
class PinTable {
 public:
  // `pins` and `used` stand in the client's page, both zero.
  PinTable(Atomic<uint32_t>* pins, Atomic<uint32_t>* used, uint32_t capacity);

  static constexpr uint32_t kNoPin = ~0u;
  // Publishes a pin with a full barrier: whoever retires the object later sees it, or this thread, looking again at the
  // index after this, sees that it was retired. The one place where x86 would reorder. kNoPin: all are in use.
  uint32_t Pin(ObjectId id);
  // True when that was the last reference of all.
  [[nodiscard]] bool Unpin(uint32_t pin);
  // References without a pin, counted together with those that have one, so that exactly one is the last.
  void AddReference();
  [[nodiscard]] bool DropReference();

 private:
  Atomic<uint32_t>* const pins_;
  Atomic<uint32_t>* const used_;
  const uint32_t capacity_;
  SpinLock lock_;  // leaving it is the last thing a thread does here: afterwards another may destroy this
  uint64_t references_ = 0;
  uint32_t handed_out_ = 0;     // pins from this index on were never used
  std::vector<uint32_t> free_;  // last in, first out: the pins in use stay together
};

// The objects that some client pins, at a moment after the call began.
class PinnedObjects {
 public:
  // REQUIRES: no window open (allocates). Objects unlinked before this is called, and not in the set, may be reused.
  void Collect(const Segment& segment);
  bool Contains(ObjectId id) const;

 private:
  std::vector<uint32_t> ids_;  // sorted
};

}  // namespace lightning
