// Get, Contains, and waiting. Readers take no lock and write nothing but their own page (rule 8).
#include <algorithm>

#include "store/client/core.h"
#include "store/index/eviction.h"
#include "store/log/recovery.h"

namespace lightning {
namespace {

// The object and the first lines of its value, all on their way at once, before anything else is asked of them.
void Prefetch(const Segment& segment, const Place& place) {
  constexpr uint32_t kLines = 16;  // the processor goes on by itself
  __builtin_prefetch(&segment.object(place.object()));
  const uint64_t value = segment.geometry().heap + uint64_t{place.value()} * kGranule;
  const uint32_t lines = std::min(kLines, EntryLines(place.entry));
  if (!segment.InHeap(value, uint64_t{lines} * 64)) return;
  for (uint32_t line = 0; line < lines; ++line) __builtin_prefetch(segment.bytes(value + line * 64));
}

}  // namespace

Status ClientCore::WaitOut(const LockWord& lock, LockWait& wait) {
  const uint64_t word = lock.Load();
  if (!LockValue::IsHeld(word) || wait.Spin()) return {};
  // Another thread of this client that is inside an operation heals what it meets itself.
  if (std::unique_lock turn(turns_, std::try_to_lock); turn.owns_lock()) {
    Result<bool> healed = true;
    {
      Window window(*gate_);
      healed = Recovery(env_, window).RollBack(LockValue::OwnerSlot(word));
    }
    CleanPending();
    if (!healed.ok()) return healed.status();
    if (*healed && lock.Load() != word) return {};
  }
  return wait.Yield(*kernel_, lock_timeout_);
}

Code ClientCore::TryGet(const Key& key, const Bucket& home, uint64_t word, Handle* handle) {
  const Segment& segment = env_.segment;
  Place place = index::Guess(segment, home, key.hash);
  uint32_t pin = PinTable::kNoPin;
  if (place && !EntryUnsealed(place.entry)) {
    Prefetch(segment, place);
    // The pin's barrier passes while object and value are on their way.
    pin = pins_->Pin(place.object());
    if (pin == PinTable::kNoPin) return Code::kTooManyPins;
  }
  if (pin == PinTable::kNoPin || !KeyEquals(segment, segment.object(place.object()), key)) {
    if (pin != PinTable::kNoPin) static_cast<void>(pins_->Unpin(pin));  // never the last reference: the caller has one
    pin = PinTable::kNoPin;
    place = index::Find(segment, home, key);
  }
  if (!place || EntryUnsealed(place.entry)) {
    // Absent at one moment, if the chain did not change while we looked.
    return home.lock.Load() == word ? (place ? Code::kBeingCreated : Code::kNotFound) : Code::kTimeout;
  }
  const Object& object = segment.object(place.object());
  if (pin == PinTable::kNoPin) pin = pins_->Pin(place.object());
  if (pin == PinTable::kNoPin) return Code::kTooManyPins;
  // The pin is published. Nothing changed since `word` was read: the object was current after that, so whoever retires
  // it will see the pin.
  if (home.lock.Load() != word || place.cell().Load() != place.entry) {
    static_cast<void>(pins_->Unpin(pin));
    return Code::kTimeout;
  }
  const ObjectFields fields = ObjectFields::Read(object);
  handle->core_ = this;
  handle->pin_ = pin;
  handle->version_ = fields.version;
  handle->size_ = fields.size;
  if (fields.metadata_size != 0) {
    if (!segment.InHeap(fields.metadata(), fields.metadata_size)) return Code::kCorrupt;
    handle->metadata_size_ = fields.metadata_size;
    handle->metadata_ = segment.bytes(fields.metadata());
  }
  // Without a byte of its own, an object has no place either.
  const bool inside = segment.InHeap(fields.payload, fields.size);
  if (!inside && fields.size != 0) return Code::kCorrupt;
  handle->data_ = segment.bytes(inside ? fields.payload : segment.geometry().heap);
  NoteUse(*page_, place.object(), Ticks());
  return Code::kOk;
}

Result<Handle> ClientCore::Get(std::string_view name, Nanoseconds timeout) {
  const Status usable = UsableWithoutTurn();
  if (!usable.ok()) return usable;
  if (name.empty() || name.size() > kMaxKeySize) return Code::kInvalidKey;
  const Key key(env_.segment, name);
  const Bucket& home = env_.segment.home(key.hash);
  index::PrefetchHome<0>(home);
  page_->gets.store(page_->gets.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  LockWait wait;
  Nanoseconds deadline{-1};
  for (;;) {
    const uint64_t word = home.lock.Load();
    if (LockValue::IsHeld(word)) {
      const Status status = WaitOut(home.lock, wait);
      if (!status.ok()) return status;
      continue;
    }
    Handle handle;
    const Code code = TryGet(key, home, word, &handle);
    if (code == Code::kOk) return Result<Handle>(std::move(handle));
    if (code == Code::kTimeout) continue;  // changed while we looked
    if (code != Code::kNotFound && code != Code::kBeingCreated) return code;
    if (timeout.count() <= 0) return Code::kNotFound;
    const Nanoseconds now = kernel_->Now();
    if (deadline.count() < 0) deadline = DeadlineAfter(now, timeout);
    if (now >= deadline) return Status(Code::kTimeout, "the key was not sealed in time");
    const uint32_t bell = 1 + static_cast<uint32_t>(key.hash % (kDoorbells - 1));
    Sleep(bell, deadline - now, [&] { return home.lock.Load() != word; });
  }
}

Result<bool> ClientCore::Contains(std::string_view name) {
  const Status usable = UsableWithoutTurn();
  if (!usable.ok()) return usable;
  if (name.empty() || name.size() > kMaxKeySize) return Code::kInvalidKey;
  const Key key(env_.segment, name);
  const Bucket& home = env_.segment.home(key.hash);
  LockWait wait;
  for (;;) {
    const uint64_t word = home.lock.Load();
    if (LockValue::IsHeld(word)) {
      const Status status = WaitOut(home.lock, wait);
      if (!status.ok()) return status;
      continue;
    }
    const Place place = index::Find(env_.segment, home, key);
    if (home.lock.Load() == word) return place && !EntryUnsealed(place.entry);
  }
}

}  // namespace lightning
