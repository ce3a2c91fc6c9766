// What a word of the control region is, whichever segment it stands in: the structure and the offset inside it. Two
// programs that run the same store can compare by it which words they saw changing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>

#include "store/segment/segment.h"

namespace lightning::faults {

// A structure's number above 24 bits of offset in bytes.
using WordPlace = uint32_t;

// The place of the word at `offset` (bytes, any byte of it). All elements of a table are one place, and so are the
// elements of an array inside a structure: pins, held locks, undo entries, what a slot keeps at hand, recency entries,
// the key of an event, the entries of a bucket's line.
// None for what is no control word: the heap, where values and long keys are written in place by memcpy, and doorbells,
// which the step engine does not watch.
std::optional<WordPlace> PlaceOf(const Segment& segment, uint64_t offset);

// "bucket offset 64"; and back, none for any other text.
std::string PlaceName(WordPlace place);
std::optional<WordPlace> ParsePlace(const std::string& name);

// Words that the step engine saw changing, each with the first instruction that did it.
class ChangedWords {
 public:
  struct Sighting {
    uint32_t address = 0;  // from the beginning of the program; StepPoint::kElsewhere: in a library
    uint64_t offset = 0;   // of the word
    std::string word;      // "bucket 3 offset 64"
    std::string command;   // that steps it again
  };
  // Of what follows.
  void set_command(const std::string& command) { command_ = command; }
  void Note(const Segment& segment, uint64_t offset, uint32_t address);
  const std::unordered_map<WordPlace, Sighting>& all() const { return all_; }

 private:
  std::string command_;
  std::unordered_map<WordPlace, Sighting> all_;
};

}  // namespace lightning::faults
