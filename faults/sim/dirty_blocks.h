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
  explicit DirtyBlocks(uint64_t size) : dirty_((size + kBlock - 1) / kBlock), size_(size) {}

  void Mark(uint64_t offset) { dirty_[offset / kBlock] = 1; }
  void Mark(uint64_t offset, uint64_t size) {
    for (uint64_t block = offset / kBlock; size != 0 && block <= (offset + size - 1) / kBlock; ++block)
      dirty_[block] = 1;
  }
  // The marked blocks of `to` become those of `from`, and are marked in `also`, if that is there.
  void Copy(const std::byte* from, std::byte* to, DirtyBlocks* also = nullptr) const {
    const uint8_t* const end = dirty_.data() + dirty_.size();
    for (const uint8_t* at = Next(dirty_.data(), end); at != nullptr; at = Next(at + 1, end)) {
      const auto block = static_cast<uint64_t>(at - dirty_.data());
      const uint64_t begin = block * kBlock;
      // Of a length that the compiler knows, but for the last one.
      if (begin + kBlock <= size_) {
        CopyBlock(to + begin, from + begin);
      } else {
        memcpy(to + begin, from + begin, size_ - begin);
      }
      if (also != nullptr) also->dirty_[block] = 1;
    }
  }
  void Clear() { dirty_.assign(dirty_.size(), 0); }

 private:
  static constexpr uint64_t kBlock = 256;
  // Under a sanitizer a call of memcpy takes longer than the copy.
  static void CopyBlock(std::byte* to, const std::byte* from) {
#if defined(__clang__)
    __builtin_memcpy_inline(to, from, kBlock);
#else
    memcpy(to, from, kBlock);
#endif
  }
  static const uint8_t* Next(const uint8_t* from, const uint8_t* end) {
    return static_cast<const uint8_t*>(memchr(from, 1, static_cast<size_t>(end - from)));
  }

  std::vector<uint8_t> dirty_;
  const uint64_t size_;
};

}  // namespace lightning::faults
