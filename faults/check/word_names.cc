#include "faults/check/word_names.h"

#include <fmt/format.h>

#include <array>
#include <cstddef>
#include <span>

#include "store/log/words.h"

namespace lightning::faults {
namespace {

// A field of a table's entry: `count` elements of `stride` bytes.
struct Field {
  uint64_t offset;
  const char* name;
  uint64_t count = 1;
  uint64_t stride = 8;
};

#define LIGHTNING_FIELD(type, name) \
  { offsetof(type, name), #name }
#define LIGHTNING_FIELDS(type, name, count) \
  { offsetof(type, name), #name, count }

constexpr Field kCentralFields[] = {LIGHTNING_FIELD(Central, slots_used),
                                    LIGHTNING_FIELD(Central, lock),
                                    LIGHTNING_FIELD(Central, free_granules),
                                    LIGHTNING_FIELD(Central, block_free_list),
                                    LIGHTNING_FIELD(Central, block_unused),
                                    LIGHTNING_FIELD(Central, object_free_list),
                                    LIGHTNING_FIELD(Central, object_unused),
                                    LIGHTNING_FIELD(Central, object_free_count),
                                    LIGHTNING_FIELD(Central, overflow_free_list),
                                    LIGHTNING_FIELD(Central, overflow_unused),
                                    LIGHTNING_FIELD(Central, credits),
                                    LIGHTNING_FIELD(Central, orphan_head),
                                    LIGHTNING_FIELD(Central, orphan_count),
                                    LIGHTNING_FIELD(Central, orphan_bytes),
                                    LIGHTNING_FIELD(Central, recoveries),
                                    LIGHTNING_FIELD(Central, evictions),
                                    LIGHTNING_FIELD(Central, evict_hand),
                                    LIGHTNING_FIELD(Central, event_lock),
                                    LIGHTNING_FIELD(Central, event_head),
                                    LIGHTNING_FIELD(Central, subscribers),
                                    LIGHTNING_FIELD(Central, first_level),
                                    LIGHTNING_FIELDS(Central, second_level, kFirstLevel),
                                    LIGHTNING_FIELDS(Central, bins, kBins)};

constexpr Field kSlotFields[] = {LIGHTNING_FIELD(Slot, state),
                                 LIGHTNING_FIELD(Slot, pid),
                                 LIGHTNING_FIELD(Slot, start_time),
                                 LIGHTNING_FIELD(Slot, namespaces),
                                 LIGHTNING_FIELD(Slot, boot),
                                 LIGHTNING_FIELD(Slot, attach_time),
                                 LIGHTNING_FIELD(Slot, activity),
                                 LIGHTNING_FIELD(Slot, lock),
                                 LIGHTNING_FIELD(Slot, credits),
                                 LIGHTNING_FIELD(Slot, retired_head),
                                 LIGHTNING_FIELD(Slot, retired_count),
                                 LIGHTNING_FIELD(Slot, retired_bytes),
                                 LIGHTNING_FIELD(Slot, unsealed_head),
                                 LIGHTNING_FIELD(Slot, subscriptions),
                                 LIGHTNING_FIELD(Slot, id_count),
                                 LIGHTNING_FIELDS(Slot, ids, kIdCache),
                                 LIGHTNING_FIELD(Slot, block_count),
                                 LIGHTNING_FIELDS(Slot, blocks, kBlockCache),
                                 LIGHTNING_FIELDS(Slot, places, kBlockCache),
                                 LIGHTNING_FIELD(Slot, held_count),
                                 LIGHTNING_FIELDS(Slot, held, kMaxHeldLocks),
                                 LIGHTNING_FIELD(Slot, log_count),
                                 LIGHTNING_FIELD(Slot, log_padding)};

constexpr Field kBucketFields[] = {LIGHTNING_FIELD(Bucket, lock),
                                   LIGHTNING_FIELD(Bucket, versions),
                                   LIGHTNING_FIELDS(Bucket, first.places, kLineEntries / 2),
                                   LIGHTNING_FIELDS(Bucket, first.entries, kLineEntries),
                                   LIGHTNING_FIELD(Bucket, next),
                                   LIGHTNING_FIELD(Bucket, reserved),
                                   LIGHTNING_FIELDS(Bucket, second.places, kLineEntries / 2),
                                   LIGHTNING_FIELDS(Bucket, second.entries, kLineEntries)};

constexpr Field kObjectFields[] = {LIGHTNING_FIELD(Object, head),    LIGHTNING_FIELD(Object, version),
                                   LIGHTNING_FIELD(Object, payload), LIGHTNING_FIELD(Object, size),
                                   LIGHTNING_FIELD(Object, storage), LIGHTNING_FIELDS(Object, key, kKeyWords),
                                   LIGHTNING_FIELD(Object, links),   LIGHTNING_FIELD(Object, tick)};

constexpr Field kBlockFields[] = {LIGHTNING_FIELD(Block, extent), LIGHTNING_FIELD(Block, neighbours),
                                  LIGHTNING_FIELD(Block, free_links), LIGHTNING_FIELD(Block, state)};

constexpr Field kEventFields[] = {LIGHTNING_FIELD(EventSlot, sequence), LIGHTNING_FIELD(EventSlot, kind_and_key_size),
                                  LIGHTNING_FIELD(EventSlot, version), LIGHTNING_FIELD(EventSlot, size),
                                  LIGHTNING_FIELDS(EventSlot, key, kMaxKeySize / 8)};

constexpr Field kPageFields[] = {LIGHTNING_FIELD(ClientPage, pins_used),
                                 LIGHTNING_FIELD(ClientPage, gets),
                                 LIGHTNING_FIELD(ClientPage, puts),
                                 LIGHTNING_FIELD(ClientPage, deletes),
                                 {offsetof(ClientPage, recency), "recency", kRecencySlots, sizeof(Recency)},
                                 {offsetof(ClientPage, pins), "pins", ~uint64_t{0} / 8, 4}};

#undef LIGHTNING_FIELD
#undef LIGHTNING_FIELDS

std::string FieldName(std::span<const Field> fields, uint64_t offset) {
  for (const Field& field : fields) {
    if (offset < field.offset || offset - field.offset >= field.count * field.stride) continue;
    if (field.count == 1) return field.name;
    return fmt::format("{}[{}]", field.name, (offset - field.offset) / field.stride);
  }
  return fmt::format("offset {}", offset);
}

std::string Entry(const char* table, uint64_t base, uint64_t size, uint64_t at, std::span<const Field> fields) {
  return fmt::format("{} {} {}", table, (at - base) / size, FieldName(fields, (at - base) % size));
}

std::string SlotName(const Geometry& g, uint64_t at) {
  const uint64_t slot = (at - g.slots) / g.slot_stride, within = (at - g.slots) % g.slot_stride;
  if (within < offsetof(Slot, log) || within >= sizeof(Slot))
    return fmt::format("slot {} {}", slot, FieldName(kSlotFields, within));
  const uint64_t in_log = within - offsetof(Slot, log);
  return fmt::format("slot {} log[{}].{}", slot, in_log / sizeof(LogEntry),
                     in_log % sizeof(LogEntry) < offsetof(LogEntry, old) ? "offset" : "old");
}

std::string LockMeaning(uint64_t value) {
  if (!LockValue::IsHeld(value)) return fmt::format("free, released {} times", Low(value));
  return fmt::format("held by slot {}, generation {}", LockValue::OwnerSlot(value), value >> 48);
}

std::string StateMeaning(uint64_t value) {
  constexpr std::array<const char*, 5> kLives = {"free", "attaching", "active", "recovering", "rolled back"};
  const SlotState state = SlotState::Decode(value);
  const auto life = static_cast<size_t>(state.life);
  std::string text = fmt::format("{}, generation {}", life < kLives.size() ? kLives[life] : "?", state.generation);
  if (state.life == SlotLife::kRecovering)
    text += fmt::format(", by slot {}, generation {}", state.recoverer, state.recoverer_generation);
  return text;
}

std::string HeadMeaning(uint64_t value) {
  constexpr std::array<const char*, 4> kStates = {"free", "unsealed", "sealed", "retired"};
  const ObjectHead head = ObjectHead::Decode(value);
  const auto state = static_cast<size_t>(head.state);
  return fmt::format("{}, key of {} bytes{}", state < kStates.size() ? kStates[state] : "?", head.key_size,
                     head.state == ObjectState::kUnsealed ? fmt::format(", of slot {}", head.owner) : "");
}

}  // namespace

std::string WordName(const Segment& segment, uint64_t offset) {
  const Geometry& g = segment.geometry();
  if (offset < g.central) return fmt::format("superblock offset {}", offset);
  if (offset < g.slots) return "central " + FieldName(kCentralFields, offset - g.central);
  if (offset < g.buckets) return SlotName(g, offset);
  if (offset < g.object_table) return Entry("bucket", g.buckets, sizeof(Bucket), offset, kBucketFields);
  if (offset < g.block_table) return Entry("object", g.object_table, sizeof(Object), offset, kObjectFields);
  if (offset < g.events) return Entry("block", g.block_table, sizeof(Block), offset, kBlockFields);
  if (offset < g.client_pages) return Entry("event", g.events, sizeof(EventSlot), offset, kEventFields);
  if (offset < g.doorbells) return Entry("page", g.client_pages, g.client_page_stride, offset, kPageFields);
  if (offset < g.heap) return fmt::format("doorbell {}", (offset - g.doorbells) / sizeof(Doorbell));
  return fmt::format("heap offset {}", offset - g.heap);
}

std::string WordMeaning(const Segment& segment, uint64_t offset, uint64_t value) {
  const std::string name = WordName(segment, offset);
  if (segment.IsLock(offset)) return LockMeaning(value);
  if (name.ends_with(" state") && name.starts_with("slot")) return StateMeaning(value);
  if (name.ends_with(" head") && name.starts_with("object")) return HeadMeaning(value);
  // A log entry's first word, and the words that name held locks, are themselves offsets of words.
  const bool names_a_word =
      name.ends_with(".offset") || (name.starts_with("slot") && name.find(" held[") != std::string::npos);
  if (names_a_word && value != 0 && value < segment.geometry().heap) return WordName(segment, value);
  return fmt::format("{:#x}", value);
}

}  // namespace lightning::faults
