// The bytes that everybody's death at this very instant would leave behind: every store that retired, whether or not
// the others can see it yet. Kept beside the memory that the clients share, store by store, so that looking at a crash
// costs no copy; and hashed as it goes, so that a state seen before is known at once.
//
// A check works on the image itself: what it changes is written down and taken back.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "faults/sim/dirty_blocks.h"
#include "faults/sim/words.h"
#include "faults/target/segments.h"

namespace lightning::faults {

class CrashImage {
 public:
  // `fresh`: what every Load() begins with; it outlives this.
  CrashImage(const Geometry& geometry, const WordMap& words, const std::byte* fresh);

  // From now on, the same bytes as `memory`, which differs from the fresh ones in these blocks alone; the hash begins
  // anew.
  void Load(const std::byte* memory, const DirtyBlocks& changed);

  // A store of 4 or 8 bytes. True when the state, as recovery sees it, is another now.
  bool Write(uint64_t offset, uint32_t size, uint64_t value);
  bool WriteBytes(uint64_t offset, const std::byte* bytes, uint64_t size);
  uint64_t Read(uint64_t offset, uint32_t size) const { return LoadWord(segment().bytes(offset), size); }

  // Equal for two images since the same Load() exactly when all words that recovery may look at are equal (but for
  // collisions of 64 bits). An undo entry beyond its log's count, say, is no such word.
  uint64_t hash() const { return hash_; }

  // Everything written after SetMark() is taken back by RollBack() to it. They nest.
  struct Mark {
    size_t journal;
    uint64_t hash;
    bool hashing;
  };
  Mark SetMark() {
    ++marks_;
    return {journal_.size(), hash_, hashing_};
  }
  void RollBack(const Mark& mark);
  // The hash may rest when nobody asks for it: until the next Load(), or the end of the mark that it was set after.
  void set_hashing(bool hashing) { hashing_ = hashing; }

  MemorySegment& memory() { return memory_; }
  const Segment& segment() const { return memory_.segment(); }

 private:
  struct Before {
    uint64_t offset;
    uint64_t word;
  };

  uint64_t* Place(uint64_t offset) { return reinterpret_cast<uint64_t*>(memory_.data() + offset); }
  bool WriteWord(uint64_t offset, uint64_t word) {
    uint64_t* const place = Place(offset);
    const uint64_t before = *place;
    if (before == word) return false;
    dirty_.Mark(offset);
    if (marks_ != 0) journal_.push_back({offset, before});
    if (hashing_) return WriteHashed(offset, before, word);
    *place = word;
    return true;
  }
  bool WriteHashed(uint64_t offset, uint64_t before, uint64_t word);
  // What the words from index `from` to `to` of a client's log, or of its list of locks, add to the hash.
  uint64_t HashOfLog(SlotIndex slot, uint64_t from, uint64_t to) const;
  uint64_t HashOfHeld(SlotIndex slot, uint64_t from, uint64_t to) const;
  // What a word adds to the hash.
  uint64_t Share(uint64_t offset, const WordInfo& info, uint64_t word) const;

  const WordMap& words_;
  const Geometry geometry_;
  MemorySegment memory_;
  const std::byte* const fresh_;
  DirtyBlocks dirty_;  // where this differs from the fresh ones
  uint64_t hash_ = 0;
  bool hashing_ = true;
  size_t marks_ = 0;
  std::vector<Before> journal_;
};

}  // namespace lightning::faults
