// A violation as a picture: one lane a client, one bar an operation, from its call to its return.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "faults/check/history_file.h"

namespace lightning::faults {

// Operations are indices into the file's.
struct HistoryPicture {
  std::string name;             // of the file
  std::vector<uint32_t> part;   // by call; empty: there is nothing to show
  std::vector<uint32_t> order;  // the longest legal order of the part
  uint32_t stuck = 0;           // what had to happen after it
  uint64_t value = kAbsent;     // what was there then
  size_t key_operations = 0;    // of the failing key, all together
};

// Where everything stands, in characters: events in their order, not to scale, so that every label has room.
struct TimelineBar {
  uint32_t operation = 0;
  size_t begin = 0, end = 0;
  std::string label;
  size_t step = 0;  // its place in the longest order, from 1; 0: none
  bool stuck = false;
};
struct TimelineLane {
  uint32_t client = 0;
  std::vector<TimelineBar> bars;
};
struct TimelineLayout {
  std::vector<TimelineLane> lanes;
  size_t width = 0;
};
TimelineLayout LayOut(const HistoryFile& file, const HistoryPicture& picture);

// One sentence: what could not happen, and why.
std::string WhyStuck(const HistoryFile& file, const HistoryPicture& picture);
// What is there after each operation of the order.
std::vector<uint64_t> ValuesAfter(const HistoryFile& file, const std::vector<uint32_t>& order);
// "nothing" when absent; a long one is cut.
std::string ShortValue(const HistoryFile& file, uint64_t value);
// "10 to 20", "10, interrupted".
std::string ShowTimes(const RegisterOperation& operation);
// Characters of UTF-8 text, each one column wide.
size_t TextWidth(const std::string& text);
std::string CutText(const std::string& text, size_t width);

// For a terminal. REQUIRES: the picture is not empty.
std::string HistoryTimeline(const HistoryFile& file, const HistoryPicture& picture);

}  // namespace lightning::faults
