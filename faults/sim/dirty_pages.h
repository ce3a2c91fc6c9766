// Which pages of a copy may differ from the bytes that it began with, so that beginning again costs what was changed
// and not the whole segment.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "store/segment/layout.h"

namespace lightning::faults {

class DirtyPages {
 public:
  explicit DirtyPages(uint64_t size) : dirty_((size + kPageSize - 1) / kPageSize), size_(size) {}

  void Mark(uint64_t offset) { dirty_[offset / kPageSize] = 1; }
  void Mark(uint64_t offset, uint64_t size) {
    for (uint64_t page = offset / kPageSize; size != 0 && page <= (offset + size - 1) / kPageSize; ++page)
      dirty_[page] = 1;
  }
  // The marked pages of `to` become those of `from`, and these are marked in `also`, if that is there.
  void Copy(const std::byte* from, std::byte* to, DirtyPages* also = nullptr) const {
    for (uint64_t page = 0; page < dirty_.size(); ++page) {
      if (dirty_[page] == 0) continue;
      const uint64_t begin = page * kPageSize, end = begin + kPageSize < size_ ? begin + kPageSize : size_;
      memcpy(to + begin, from + begin, end - begin);
      if (also != nullptr) also->dirty_[page] = 1;
    }
  }
  void Clear() { dirty_.assign(dirty_.size(), 0); }

 private:
  std::vector<uint8_t> dirty_;
  const uint64_t size_;
};

}  // namespace lightning::faults
