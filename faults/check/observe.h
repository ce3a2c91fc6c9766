// What a store holds, as a client sees it, against what it should hold.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "faults/model/content.h"
#include "lightning/client.h"

namespace lightning::faults {

// What a put or create gives that found no room.
inline bool IsFull(Code code) { return code == Code::kSegmentFull || code == Code::kTooManyObjects; }

// "`what` failed: ...", from a status that is not ok.
std::string Failed(const char* what, const Status& status);

struct SeenObject {
  uint64_t version = 0;
  std::string value, metadata;
};
using SeenContent = std::map<std::string, SeenObject>;

// Everything that List names, read by Get. An error text, or "".
std::string Observe(Client& client, SeenContent* seen);
// The first difference, or "".
std::string Difference(const SeenContent& seen, const Content& expected);
std::string Difference(std::string_view key, const SeenObject& seen, const Item& expected);
// The index of the first of several contents that it could be, or -1 and the difference to the last one.
int FindContent(const SeenContent& seen, std::span<const Content> allowed, std::string* difference);

}  // namespace lightning::faults
