// The stores of one client that the others cannot see yet, oldest first.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <iterator>
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
  // REQUIRES: capacity < 65,536.
  explicit StoreBuffer(uint32_t capacity) : ring_(std::bit_ceil(size_t{capacity} + 1)), mask_(ring_.size() - 1) {}

  size_t size() const { return tail_ - head_; }
  // REQUIRES: fewer than `capacity`.
  void Push(const BufferedStore& store) {
    ring_[tail_++ & mask_] = store;
    ++counts_[Bucket(store.offset)];
  }
  // REQUIRES: not empty.
  const BufferedStore& Pop() {
    const BufferedStore& oldest = ring_[head_++ & mask_];
    --counts_[Bucket(oldest.offset)];
    return oldest;
  }
  void Clear() {
    head_ = tail_ = 0;
    std::fill(std::begin(counts_), std::end(counts_), uint16_t{0});
  }
  // The newest to this place, or null.
  const BufferedStore* Find(uint64_t offset) const {
    if (counts_[Bucket(offset)] == 0) return nullptr;
    for (size_t i = tail_; i-- > head_;) {
      if (ring_[i & mask_].offset == offset) return &ring_[i & mask_];
    }
    return nullptr;
  }

 private:
  static constexpr size_t kBuckets = 256;
  static size_t Bucket(uint64_t offset) { return (offset / 4 ^ offset / 4 / kBuckets) % kBuckets; }

  std::vector<BufferedStore> ring_;
  const size_t mask_;
  size_t head_ = 0, tail_ = 0;
  uint16_t counts_[kBuckets] = {};  // of the stores in it by place, several places to a bucket: most loads find none
};

}  // namespace lightning::faults
