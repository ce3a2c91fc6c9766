// Rule 2 watched from outside, without any recovery: at the instant of a store to a shared cell, some client's undo log
// in memory covers that word.
#pragma once

#include <span>
#include <string>

#include "store/segment/segment.h"

namespace lightning::faults {

struct WordChange {
  uint64_t offset = 0;  // bytes from the beginning of the segment, a multiple of 8
  uint64_t before = 0, after = 0;
};

// `segment` as it is right after one instruction, which made `changes`. Each changed Cell must be named by an entry
// below the count of some slot's log, with the value before the store; or with the value after it: then the store puts
// that back, which is what an undo does. What is wrong, or "". Words of other kinds have rules of their own.
std::string UncoveredStore(const Segment& segment, std::span<const WordChange> changes);

// "central offset 128", "object 3 offset 8": the regions and their indices as a plan names them.
std::string NameWord(const Segment& segment, uint64_t offset);

}  // namespace lightning::faults
