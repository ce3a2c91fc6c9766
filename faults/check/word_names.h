// The words of a segment by their names in the source, and what their values say: for traces that people read.
#pragma once

#include <cstdint>
#include <string>

#include "store/segment/segment.h"

namespace lightning::faults {

// "slot 1 log[3].offset", "bucket 2 lock", "object 5 head", "heap offset 64". Any offset below the segment's size.
std::string WordName(const Segment& segment, uint64_t offset);

// What an 8-byte word at this offset says when it holds `value`: "held by slot 1, generation 2", "active, generation
// 2", "block 7", "sealed, key of 6 bytes"; or the number, in hexadecimal.
std::string WordMeaning(const Segment& segment, uint64_t offset, uint64_t value);

}  // namespace lightning::faults
