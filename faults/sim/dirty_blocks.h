// Where a copy may differ from the bytes that it began with, so that beginning again costs what was changed and not the
// whole segment.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

namespace lightning::faults {

class DirtyBlocks {
 public:
  explicit DirtyBlocks(uint64_t size) : dirty_((size / kBlock / kEight + 1) * kEight), size_(size) {}

  void Mark(uint64_t offset) { dirty_[offset / kBlock] = 1; }
  void Mark(uint64_t offset, uint64_t size) {
    for (uint64_t block = offset / kBlock; size != 0 && block <= (offset + size - 1) / kBlock; ++block)
      dirty_[block] = 1;
  }
  // The marked blocks of `to` become those of `from`, and are marked in `also`, if that is there.
  void Copy(const std::byte* from, std::byte* to, DirtyBlocks* also = nullptr) const {
    for (uint64_t eight = 0; eight < dirty_.size(); eight += kEight) {
      uint64_t any = 0;  // most are not marked
      memcpy(&any, &dirty_[eight], kEight);
      if (any == 0) continue;
      for (uint64_t block = eight; block < eight + kEight; ++block) {
        if (dirty_[block] == 0) continue;
        CopyBlock(from, to, block * kBlock);
        if (also != nullptr) also->dirty_[block] = 1;
      }
    }
  }
  void Clear() { dirty_.assign(dirty_.size(), 0); }

 private:
  static constexpr uint64_t kBlock = 256, kEight = sizeof(uint64_t);
  void CopyBlock(const std::byte* from, std::byte* to, uint64_t begin) const {
    if (begin + kBlock > size_) {  // the last one
      memcpy(to + begin, from + begin, size_ - begin);
      return;
    }
    // Of a length that the compiler knows; and under a sanitizer a call of memcpy takes longer than the copy.
#if defined(__clang__)
    __builtin_memcpy_inline(to + begin, from + begin, kBlock);
#else
    memcpy(to + begin, from + begin, kBlock);
#endif
  }

  std::vector<uint8_t> dirty_;
  const uint64_t size_;
};

}  // namespace lightning::faults
