#include "faults/sim/crash_image.h"

#include <algorithm>
#include <cstring>

namespace lightning::faults {
namespace {

// splitmix64's finalizer over both, so that the sum over all words is a hash of the whole (Zobrist 1970).
uint64_t Mix(uint64_t offset, uint64_t word) {
  uint64_t z = word + (offset + 1) * 0x9E37'79B9'7F4A'7C15;
  z = (z ^ (z >> 30)) * 0xBF58'476D'1CE4'E5B9;
  z = (z ^ (z >> 27)) * 0x94D0'49BB'1331'11EB;
  return z ^ (z >> 31);
}

}  // namespace

CrashImage::CrashImage(const Geometry& geometry, const WordMap& words, const std::byte* fresh)
    : words_(words), geometry_(geometry), memory_(geometry), fresh_(fresh), dirty_(geometry.size) {
  memory_.Load(fresh);
}

void CrashImage::Load(const std::byte* memory, const DirtyBlocks& changed) {
  dirty_.Copy(fresh_, memory_.data());
  dirty_.Clear();
  changed.Copy(memory, memory_.data(), &dirty_);
  journal_.clear();
  marks_ = 0;
  hashing_ = true;
  hash_ = 0;
}

uint64_t CrashImage::HashOfLog(SlotIndex slot, uint64_t from, uint64_t to) const {
  uint64_t hash = 0;
  const uint64_t base = geometry_.SlotOffset(slot) + offsetof(Slot, log);
  for (uint64_t i = from; i < std::min<uint64_t>(to, kLogCapacity); ++i) {
    const uint64_t at = base + i * sizeof(LogEntry);
    hash ^= Mix(at, Read(at, 8)) ^ Mix(at + 8, Read(at + 8, 8));
  }
  return hash;
}

uint64_t CrashImage::HashOfHeld(SlotIndex slot, uint64_t from, uint64_t to) const {
  uint64_t hash = 0;
  const uint64_t base = geometry_.SlotOffset(slot) + offsetof(Slot, held);
  for (uint64_t i = from; i < std::min<uint64_t>(to, kMaxHeldLocks); ++i)
    hash ^= Mix(base + 8 * i, Read(base + 8 * i, 8));
  return hash;
}

uint64_t CrashImage::Share(uint64_t offset, const WordInfo& info, uint64_t word) const {
  switch (info.kind) {
    case WordKind::kIgnored:
      return 0;
    case WordKind::kLogOffset:
    case WordKind::kLogOld:
      if (info.index >= Read(geometry_.SlotOffset(info.slot) + offsetof(Slot, log_count), 8)) return 0;
      break;
    case WordKind::kHeld:
      if (info.index >= Read(geometry_.SlotOffset(info.slot) + offsetof(Slot, held_count), 8)) return 0;
      break;
    default:
      break;
  }
  return Mix(offset, word);
}

bool CrashImage::WriteHashed(uint64_t offset, uint64_t before, uint64_t word) {
  const WordInfo& info = words_.At(offset);
  uint64_t change = Share(offset, info, before) ^ Share(offset, info, word);
  // Entries come under the count, or leave it.
  const uint64_t low = std::min(before, word), high = std::max(before, word);
  if (info.kind == WordKind::kLogCount) change ^= HashOfLog(info.slot, low, high);
  if (info.kind == WordKind::kHeldCount) change ^= HashOfHeld(info.slot, low, high);
  *Place(offset) = word;
  hash_ ^= change;
  return change != 0;
}

bool CrashImage::Write(uint64_t offset, uint32_t size, uint64_t value) {
  if (size == 8) return WriteWord(offset, value);
  const uint64_t word = *Place(offset & ~uint64_t{7});
  const uint64_t shift = (offset & 4) * 8;
  const uint64_t mask = uint64_t{0xFFFF'FFFF} << shift;
  return WriteWord(offset & ~uint64_t{7}, (word & ~mask) | (value << shift & mask));
}

bool CrashImage::WriteBytes(uint64_t offset, const std::byte* bytes, uint64_t size) {
  bool changed = false;
  while (size != 0) {
    const uint64_t start = offset & ~uint64_t{7}, skip = offset - start;
    const uint64_t some = std::min<uint64_t>(8 - skip, size);
    uint64_t word = *Place(start);
    memcpy(reinterpret_cast<std::byte*>(&word) + skip, bytes, some);
    changed |= WriteWord(start, word);
    offset += some;
    bytes += some;
    size -= some;
  }
  return changed;
}

void CrashImage::RollBack(const Mark& mark) {
  LIGHTNING_ASSERT(marks_ != 0);
  while (journal_.size() > mark.journal) {
    *Place(journal_.back().offset) = journal_.back().word;
    journal_.pop_back();
  }
  hash_ = mark.hash;
  hashing_ = mark.hashing;
  --marks_;
}

}  // namespace lightning::faults
