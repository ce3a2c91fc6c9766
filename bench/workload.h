// Keys, values and sequences of operations: the same ones for the store and for its floor.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace lightning::bench {

inline constexpr uint32_t kKeys = 100'000;
inline constexpr size_t kKeySize = 23;  // "user" and 19 digits, as YCSB makes them
inline constexpr size_t kValueSize = 1024;
inline constexpr size_t kValueWords = kValueSize / sizeof(uint64_t);

class KeyTable {
 public:
  explicit KeyTable(uint32_t count);
  std::string_view operator[](uint32_t index) const { return {keys_[index].data(), kKeySize}; }
  uint32_t size() const { return static_cast<uint32_t>(keys_.size()); }

 private:
  std::vector<std::array<char, kKeySize + 1>> keys_;
};

// A value's words follow from one stamp, so that bytes of two values, or of another key's value, are recognised. The
// stamp's upper 24 bits are the key's index; the lower 40 are the writer's to choose.
struct alignas(64) Value {
  uint64_t words[kValueWords];
};
inline constexpr uint64_t kStampMask = (uint64_t{1} << 40) - 1;
constexpr uint64_t MakeStamp(uint32_t index, uint64_t low) { return uint64_t{index} << 40 | (low & kStampMask); }

inline void FillValue(uint64_t* words, uint64_t stamp) {
  for (size_t i = 0; i < kValueWords; ++i) words[i] = stamp + i;
}

// Reads every byte. False when the words are not those of one value of this key.
inline bool CheckValue(const void* bytes, uint32_t index, uint64_t* stamp) {
  const auto* words = static_cast<const uint64_t*>(bytes);
  const uint64_t first = words[0];
  uint64_t difference = 0;
  for (size_t i = 0; i < kValueWords; ++i) difference |= words[i] ^ (first + i);
  *stamp = first;
  return difference == 0 && first >> 40 == index;
}

enum class Workload : uint32_t {
  kA,         // 50 % reads, 50 % updates
  kB,         // 95 % reads, 5 % updates
  kC,         // reads
  kD,         // 95 % reads of the latest keys, 5 % inserts; each insert deletes the oldest key
  kF,         // 50 % reads, 50 % read-modify-writes
  kDisjoint,  // A, each process on keys of its own
};
const char* WorkloadLetter(Workload workload);

// One operation, packed: the sequence is drawn up before the clock starts and both sides run through it.
struct Op {
  uint32_t key : 24;   // D: how many inserts ago the key was made, less one
  uint32_t owner : 6;  // D: whose key; otherwise 0
  uint32_t write : 2;  // 1: update, insert or read-modify-write
};
static_assert(sizeof(Op) == 4);

inline constexpr size_t kSequenceSize = size_t{1} << 19;  // run through again and again

// Workload D: each process has a ring of keys, of which all but the last kRingSlack are present.
inline constexpr uint32_t kRingSlack = 64;
constexpr uint32_t RingSize(uint32_t procs) { return kKeys / procs; }
constexpr uint32_t LiveSize(uint32_t procs) { return RingSize(procs) - kRingSlack; }

// `proc` of `procs` processes; different seeds give different sequences.
std::vector<Op> MakeSequence(Workload workload, uint32_t proc, uint32_t procs, uint64_t seed);

}  // namespace lightning::bench
