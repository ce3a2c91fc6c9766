#include "store/index/pins.h"

#include <algorithm>

#include "store/log/words.h"

namespace lightning {

PinTable::PinTable(Atomic<uint32_t>* pins, Atomic<uint32_t>* used, uint32_t capacity)
    : pins_(pins), used_(used), capacity_(capacity) {
  free_.reserve(capacity);
}

uint32_t PinTable::Pin(ObjectId id) {
  lock_.lock();
  uint32_t pin = kNoPin;
  if (!free_.empty()) {
    pin = free_.back();
    free_.pop_back();
  } else if (handed_out_ < capacity_) {
    pin = handed_out_++;
    used_->store(handed_out_, std::memory_order_release);
  }
  if (pin != kNoPin) {
    ++references_;
    pins_[pin].exchange(id.value, std::memory_order_seq_cst);
  }
  lock_.unlock();
  return pin;
}

bool PinTable::Unpin(uint32_t pin) {
  pins_[pin].store(0, std::memory_order_release);
  lock_.lock();
  free_.push_back(pin);
  const bool last = --references_ == 0;
  lock_.unlock();
  return last;
}

void PinTable::AddReference() {
  lock_.lock();
  ++references_;
  lock_.unlock();
}

bool PinTable::DropReference() {
  lock_.lock();
  const bool last = --references_ == 0;
  lock_.unlock();
  return last;
}

void PinnedObjects::Collect(const Segment& segment) {
  ids_.clear();
  // The unlinking stores are seen by everybody before the first pin is read.
  FullFence();
  const Geometry& g = segment.geometry();
  for (SlotIndex slot = 0; slot < segment.slots_used(); ++slot) {
    if (SlotState::Decode(segment.slot(slot).state.Load()).life == SlotLife::kFree) continue;
    const ClientPage& page = segment.client_page(slot);
    const uint32_t used = std::min(page.pins_used.load(std::memory_order_acquire), g.max_pins);
    for (uint32_t i = 0; i < used; ++i) {
      const uint32_t id = page.pins[i].load(std::memory_order_acquire);
      if (id != 0) ids_.push_back(id);
    }
  }
  std::sort(ids_.begin(), ids_.end());
}

bool PinnedObjects::Contains(ObjectId id) const { return std::binary_search(ids_.begin(), ids_.end(), id.value); }

}  // namespace lightning
