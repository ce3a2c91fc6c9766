#include "faults/check/word_place.h"

#include <fmt/format.h>

#include <array>
#include <cstddef>

#include "faults/check/undo_watch.h"

namespace lightning::faults {
namespace {

enum Structure : uint32_t { kSuperblock, kCentral, kSlot, kLog, kBucket, kObject, kBlock, kEvent, kPage, kStructures };
constexpr std::array<const char*, kStructures> kStructureNames = {"superblock", "central", "slot",  "log", "bucket",
                                                                  "object",     "block",   "event", "page"};
constexpr uint32_t kOffsetBits = 24;

constexpr WordPlace Make(Structure structure, uint64_t offset) {
  return static_cast<uint32_t>(structure) << kOffsetBits | static_cast<uint32_t>(offset & ~uint64_t{7});
}

// An array's elements are like its first.
struct Array {
  uint64_t begin, size, element;
};
constexpr uint64_t Fold(uint64_t at, std::initializer_list<Array> arrays) {
  for (const Array& array : arrays) {
    if (at >= array.begin && at < array.begin + array.size) return array.begin + (at - array.begin) % array.element;
  }
  return at;
}

uint64_t InSlot(uint64_t at) {
  return Fold(at, {{offsetof(Slot, held), sizeof(Slot::held), 8},
                   {offsetof(Slot, ids), sizeof(Slot::ids), 8},
                   {offsetof(Slot, blocks), sizeof(Slot::blocks), 8},
                   {offsetof(Slot, places), sizeof(Slot::places), 8}});
}

// Both lines of a bucket are written by the same statements, and a small plan rarely fills the first.
uint64_t InBucket(uint64_t at) {
  using Entries = Bucket::Entries;
  const uint64_t first = offsetof(Bucket, first), second = offsetof(Bucket, second);
  if (at >= second && at < second + sizeof(Entries)) at -= second - first;
  return Fold(at, {{first + offsetof(Entries, places), sizeof(Entries::places), 8},
                   {first + offsetof(Entries, entries), sizeof(Entries::entries), 8}});
}

uint64_t InPage(uint64_t at, uint64_t stride) {
  return Fold(at, {{offsetof(ClientPage, recency), sizeof(ClientPage::recency), sizeof(Recency)},
                   {offsetof(ClientPage, pins), stride - offsetof(ClientPage, pins), 8}});
}

}  // namespace

std::optional<WordPlace> PlaceOf(const Segment& segment, uint64_t offset) {
  const Geometry& g = segment.geometry();
  if (offset >= g.doorbells) return std::nullopt;
  if (offset < g.central) return Make(kSuperblock, offset);
  if (offset < g.slots) return Make(kCentral, offset - g.central);
  if (offset < g.buckets) {
    const uint64_t at = (offset - g.slots) % g.slot_stride, log = offsetof(Slot, log);
    if (at >= log && at < sizeof(Slot)) return Make(kLog, (at - log) % sizeof(LogEntry));
    return Make(kSlot, InSlot(at));
  }
  if (offset < g.object_table) return Make(kBucket, InBucket((offset - g.buckets) % sizeof(Bucket)));
  if (offset < g.block_table) return Make(kObject, (offset - g.object_table) % sizeof(Object));
  if (offset < g.events) return Make(kBlock, (offset - g.block_table) % sizeof(Block));
  if (offset < g.client_pages) {
    const uint64_t key = offsetof(EventSlot, key);
    return Make(kEvent, Fold((offset - g.events) % sizeof(EventSlot), {{key, sizeof(EventSlot) - key, 8}}));
  }
  return Make(kPage, InPage((offset - g.client_pages) % g.client_page_stride, g.client_page_stride));
}

std::string PlaceName(WordPlace place) {
  return fmt::format("{} offset {}", kStructureNames[place >> kOffsetBits], place & ((1u << kOffsetBits) - 1));
}

std::optional<WordPlace> ParsePlace(const std::string& name) {
  for (uint32_t i = 0; i < kStructures; ++i) {
    const std::string begin = fmt::format("{} offset ", kStructureNames[i]);
    if (!name.starts_with(begin)) continue;
    const WordPlace place = i << kOffsetBits | static_cast<uint32_t>(std::strtoul(&name[begin.size()], nullptr, 10));
    if (PlaceName(place) == name) return place;
  }
  return std::nullopt;
}

void ChangedWords::Note(const Segment& segment, uint64_t offset, uint32_t address) {
  const std::optional<WordPlace> place = PlaceOf(segment, offset);
  if (place && !all_.contains(*place)) all_[*place] = {address, offset, NameWord(segment, offset), command_};
}

}  // namespace lightning::faults
