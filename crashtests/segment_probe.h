// A look at a segment from outside: no client, no lock, read-only. For tests that need to know who holds what.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "store/log/words.h"
#include "store/segment/segment.h"

namespace lightning::crash {

class SegmentProbe {
 public:
  explicit SegmentProbe(const std::string& path);  // ends the test program when the segment cannot be opened
  ~SegmentProbe();
  SegmentProbe(const SegmentProbe&) = delete;
  SegmentProbe& operator=(const SegmentProbe&) = delete;

  const Segment& segment() const { return segment_; }
  SlotState State(SlotIndex slot) const { return SlotState::Decode(segment_.slot(slot).state.Load()); }
  // The slot that the process has, if any.
  std::optional<SlotIndex> SlotOf(pid_t pid) const;
  // Slots in this life.
  int Count(SlotLife life) const;
  // How many of the locks that the slot lists are held in its name, and the names of their kinds:
  // "slot", "bucket", "central", "events".
  std::vector<std::string> Held(SlotIndex slot) const;

 private:
  const std::byte* view_ = nullptr;
  Segment segment_;
};

}  // namespace lightning::crash
