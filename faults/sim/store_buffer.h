// The stores of one client that the others cannot see yet, oldest first.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace lightning::faults {

struct BufferedStore {
  uint64_t offset = 0;
  uint64_t value = 0;
  uint32_t size = 0;
};

// A ring, since the oldest leaves it as often as a new one comes.
class StoreBuffer {
 public:
  explicit StoreBuffer(uint32_t capacity) : ring_(std::bit_ceil(size_t{capacity} + 1)), mask_(ring_.size() - 1) {}

  size_t size() const { return tail_ - head_; }
  // REQUIRES: fewer than `capacity`.
  void Push(const BufferedStore& store) {
    ring_[tail_++ & mask_] = store;
    words_ |= Bit(store.offset);
  }
  // REQUIRES: not empty.
  const BufferedStore& Pop() {
    if (head_ + 1 == tail_) words_ = 0;
    return ring_[head_++ & mask_];
  }
  void Clear() { head_ = tail_ = words_ = 0; }
  // The newest to this place, or null.
  const BufferedStore* Find(uint64_t offset) const {
    if ((words_ & Bit(offset)) == 0) return nullptr;
    for (size_t i = tail_; i-- > head_;) {
      if (ring_[i & mask_].offset == offset) return &ring_[i & mask_];
    }
    return nullptr;
  }

 private:
  static uint64_t Bit(uint64_t offset) { return uint64_t{1} << (offset / 4 % 64); }

  std::vector<BufferedStore> ring_;
  const size_t mask_;
  size_t head_ = 0, tail_ = 0;
  uint64_t words_ = 0;  // a bit for each place that may be in it; several places share one
};

}  // namespace lightning::faults
