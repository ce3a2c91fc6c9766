#include "faults/sim/words.h"

#include <array>
#include <cstddef>

namespace lightning::faults {

WordMap::WordMap(const Segment& segment, bool ticks_matter) : heap_(segment.geometry().heap) {
  const Geometry& g = segment.geometry();
  LIGHTNING_ASSERT(g.max_clients <= 256);
  words_.assign(heap_ / 8, WordInfo{WordKind::kConstant, 0, 0});
  AddTables(segment, ticks_matter);
  AddSlots(g);
}

void WordMap::Set(uint64_t begin, uint64_t end, WordKind kind, SlotIndex slot) {
  for (uint64_t at = begin; at < end; at += 8) words_[at / 8] = {kind, static_cast<uint8_t>(slot), 0};
}

void WordMap::AddTables(const Segment& segment, bool ticks_matter) {
  const Geometry& g = segment.geometry();
  for (uint64_t at = g.central; at < g.events; at += 8) {
    if (segment.IsCell(at)) Set(at, at + 8, WordKind::kCell);
    if (segment.IsLock(at)) Set(at, at + 8, WordKind::kLock);
  }
  const uint64_t used = g.central + offsetof(Central, slots_used);
  Set(used, used + 8, WordKind::kSlotsUsed);
  // When an object was made decides only which one is evicted.
  for (uint64_t i = 0; !ticks_matter && i < g.objects; ++i) {
    const uint64_t at = g.object_table + i * sizeof(Object) + offsetof(Object, tick);
    Set(at, at + 8, WordKind::kIgnored);
  }
  Set(g.events, g.events + sizeof(EventSlot) * uint64_t{g.event_slots}, WordKind::kEvent);
  Set(g.doorbells, g.doorbells + kPageSize, WordKind::kIgnored);
}

void WordMap::AddSlots(const Geometry& g) {
  for (SlotIndex slot = 0; slot < g.max_clients; ++slot) {
    const uint64_t base = g.SlotOffset(slot);
    const auto set = [&](size_t begin, size_t end, WordKind kind) { Set(base + begin, base + end, kind, slot); };
    set(offsetof(Slot, state), offsetof(Slot, pid), WordKind::kState);
    set(offsetof(Slot, pid), offsetof(Slot, attach_time), WordKind::kIdentity);
    set(offsetof(Slot, attach_time), offsetof(Slot, lock), WordKind::kIgnored);
    set(offsetof(Slot, lock), offsetof(Slot, credits), WordKind::kLock);
    set(offsetof(Slot, credits), offsetof(Slot, held_count), WordKind::kSlotCell);
    set(offsetof(Slot, held_count), offsetof(Slot, held), WordKind::kHeldCount);
    set(offsetof(Slot, held), offsetof(Slot, log_count), WordKind::kHeld);
    set(offsetof(Slot, log_count), offsetof(Slot, log_padding), WordKind::kLogCount);
    set(offsetof(Slot, log_padding), offsetof(Slot, log), WordKind::kIgnored);
    for (uint16_t i = 0; i < kMaxHeldLocks; ++i) words_[(base + offsetof(Slot, held)) / 8 + i].index = i;
    for (uint16_t i = 0; i < kLogCapacity; ++i) {
      const uint64_t at = (base + offsetof(Slot, log) + i * sizeof(LogEntry)) / 8;
      words_[at] = {WordKind::kLogOffset, static_cast<uint8_t>(slot), i};
      words_[at + 1] = {WordKind::kLogOld, static_cast<uint8_t>(slot), i};
    }
    const uint64_t page = g.ClientPageOffset(slot);
    Set(page, page + g.client_page_stride, WordKind::kIgnored, slot);
    Set(page, page + 8, WordKind::kPinsUsed, slot);
    const uint64_t pins = page + offsetof(ClientPage, pins);
    Set(pins, pins + 4 * uint64_t{g.max_pins}, WordKind::kPin, slot);
  }
}

const char* WordKindName(WordKind kind) {
  constexpr std::array<const char*, 17> kNames = {"a counter",
                                                  "an undo entry's offset",
                                                  "an undo entry's value",
                                                  "a log's count",
                                                  "a list of held locks",
                                                  "a count of held locks",
                                                  "a constant",
                                                  "a cell",
                                                  "a cell of a slot",
                                                  "a lock",
                                                  "a slot's state",
                                                  "the count of slots",
                                                  "an identity",
                                                  "an event",
                                                  "a pin",
                                                  "a count of pins",
                                                  "payload"};
  return kNames[static_cast<size_t>(kind)];
}

}  // namespace lightning::faults
