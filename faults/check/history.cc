#include "faults/check/history.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <unordered_map>
#include <unordered_set>

#include "faults/model/content.h"
#include "faults/model/random.h"

namespace lightning::faults {
namespace {

struct Header {
  WriteId write;
  uint64_t size;
  uint32_t key, magic;
  uint64_t check;
};
static_assert(sizeof(Header) == kSmallestValue);
constexpr uint32_t kMagicWord = 0x5E1FDE5C;

Header MakeHeader(uint64_t size, uint32_t key, WriteId write) {
  return {write, size, key, kMagicWord, MixSeeds(write, MixSeeds(key, size))};
}

std::string ShowWrite(WriteId write) {
  return fmt::format("write {} of writer {}", write & 0xFFFF'FFFF'FFFF, write >> 48);
}

// Completed changes by their end, with the latest beginning so far: how new a state must be at some moment.
class Floor {
 public:
  explicit Floor(std::vector<KeyEvent> changes) : changes_(std::move(changes)) {
    std::sort(changes_.begin(), changes_.end(), [](const KeyEvent& a, const KeyEvent& b) { return a.end < b.end; });
    latest_.reserve(changes_.size());
    for (size_t i = 0; i < changes_.size(); ++i)
      latest_.push_back(i > 0 && changes_[latest_[i - 1]].begin > changes_[i].begin ? latest_[i - 1] : i);
  }
  // The change with the latest beginning among those that ended before `moment`, or null.
  const KeyEvent* At(uint64_t moment) const {
    const auto at = std::lower_bound(changes_.begin(), changes_.end(), moment,
                                     [](const KeyEvent& e, uint64_t m) { return e.end < m; });
    if (at == changes_.begin()) return nullptr;
    return &changes_[latest_[static_cast<size_t>(at - changes_.begin()) - 1]];
  }

 private:
  std::vector<KeyEvent> changes_;
  std::vector<size_t> latest_;  // index
};

class KeyJudge {
 public:
  KeyJudge(uint32_t key, const KeyHistory& history, const std::unordered_set<WriteId>& seen)
      : key_(key), history_(history), floor_(Changes(history, seen)) {
    writes_[history.first] = First(history);
    for (const KeyEvent& event : history.events) {
      if (event.did == Did::kWrite) writes_[event.write] = event;
      if (event.did == Did::kDelete) deletes_.push_back(event);
    }
    if (history.first == 0) deletes_.push_back(First(history));
    std::sort(deletes_.begin(), deletes_.end(), [](const KeyEvent& a, const KeyEvent& b) { return a.begin < b.begin; });
    for (const KeyEvent& event : deletes_)
      last_delete_end_.push_back(std::max(last_delete_end_.empty() ? 0 : last_delete_end_.back(), event.end));
  }

  std::string Run() {
    for (const KeyEvent& event : history_.events) {
      std::string error;
      if (event.did == Did::kSaw) error = Saw(event);
      if (event.did == Did::kSawNothing) error = SawNothing(event);
      if (!error.empty()) return fmt::format("key {}: {}", key_, error);
    }
    const std::string error = Versions();
    return error.empty() ? "" : fmt::format("key {}: {}", key_, error);
  }

 private:
  static KeyEvent First(const KeyHistory& history) {
    KeyEvent first;
    first.did = history.first == 0 ? Did::kDelete : Did::kWrite;
    first.completed = true;
    first.write = history.first;
    first.version = history.first_version;
    return first;
  }

  static std::vector<KeyEvent> Changes(const KeyHistory& history, const std::unordered_set<WriteId>& seen) {
    std::vector<KeyEvent> changes;
    for (const KeyEvent& event : history.events) {
      const bool change = event.did == Did::kWrite || event.did == Did::kDelete;
      const bool happened = event.completed || (event.did == Did::kWrite && seen.contains(event.write));
      if (change && happened) changes.push_back(event);
    }
    return changes;
  }

  // W may be seen unless a change that began after W had ended, had ended before the look began.
  std::string Saw(const KeyEvent& look) {
    const auto at = look.write == 0 ? writes_.end() : writes_.find(look.write);
    if (at == writes_.end())
      return fmt::format("writer {} saw {}, which nobody wrote", look.writer, ShowWrite(look.write));
    const KeyEvent& write = at->second;
    if (write.begin > look.end) return fmt::format("{} was seen before it began", ShowWrite(look.write));
    if (write.version != 0 && look.version != 0 && write.version != look.version)
      return fmt::format("{} gave version {}, and was seen with version {}", ShowWrite(look.write), write.version,
                         look.version);
    const KeyEvent* newer = floor_.At(look.begin);
    if (newer != nullptr && write.end < newer->begin)
      return fmt::format("{} was seen {} ns after a {} of writer {} had replaced it", ShowWrite(look.write),
                         look.begin - newer->end, newer->did == Did::kDelete ? "delete" : "write", newer->writer);
    return "";
  }

  std::string SawNothing(const KeyEvent& look) {
    const KeyEvent* newer = floor_.At(look.begin);
    const uint64_t since = newer == nullptr ? 0 : newer->begin;
    const auto after = std::upper_bound(deletes_.begin(), deletes_.end(), look.end,
                                        [](uint64_t m, const KeyEvent& e) { return m < e.begin; });
    if (after != deletes_.begin() && last_delete_end_[static_cast<size_t>(after - deletes_.begin()) - 1] >= since)
      return "";
    return fmt::format("absent to writer {}, though {} had completed and nobody deleted it after that", look.writer,
                       newer == nullptr ? ShowWrite(history_.first) : ShowWrite(newer->write));
  }

  // Versions agree with time, and nothing came between a conditional write and the version it replaced.
  std::string Versions() const {
    std::vector<const KeyEvent*> order;
    for (const auto& [write, event] : writes_) {
      if (event.completed && event.version != 0) order.push_back(&event);
    }
    std::sort(order.begin(), order.end(), [](const KeyEvent* a, const KeyEvent* b) { return a->version < b->version; });
    uint64_t latest_begin = 0;
    for (size_t i = 0; i < order.size(); ++i) {
      const KeyEvent& event = *order[i];
      if (i > 0 && order[i - 1]->version == event.version)
        return fmt::format("{} and {} both have version {}", ShowWrite(order[i - 1]->write), ShowWrite(event.write),
                           event.version);
      if (event.end < latest_begin)
        return fmt::format("{} has version {}, a larger one than a write that began after it had ended",
                           ShowWrite(event.write), event.version);
      if (event.expected != 0 && i > 0 && order[i - 1]->version > event.expected)
        return fmt::format("{} replaced version {}, though {} had made version {} of it: a lost update",
                           ShowWrite(event.write), event.expected, ShowWrite(order[i - 1]->write),
                           order[i - 1]->version);
      latest_begin = std::max(latest_begin, event.begin);
    }
    return "";
  }

  const uint32_t key_;
  const KeyHistory& history_;
  const Floor floor_;
  std::unordered_map<WriteId, KeyEvent> writes_;
  std::vector<KeyEvent> deletes_;          // by begin
  std::vector<uint64_t> last_delete_end_;  // of those up to the same index
};

}  // namespace

void FillValue(std::byte* to, uint64_t size, uint32_t key, WriteId write) {
  const Header header = MakeHeader(size, key, write);
  memcpy(to, &header, sizeof header);
  FillPattern(to + sizeof header, size - sizeof header, header.check);
}

WriteId ReadValue(Bytes value, uint32_t key, std::string* error) {
  Header header;
  if (value.size() < sizeof header) {
    *error = fmt::format("a value of {} bytes, which nobody wrote", value.size());
    return 0;
  }
  memcpy(&header, value.data(), sizeof header);
  const Header expected = MakeHeader(value.size(), key, header.write);
  if (memcmp(&header, &expected, sizeof header) != 0 || header.write == 0) {
    *error = fmt::format("a value whose header is torn, or that of key {}", header.key);
    return 0;
  }
  if (!MatchesPattern(value.subspan(sizeof header), header.check)) {
    *error = "a torn value: its bytes are not those of its header";
    return 0;
  }
  return header.write;
}

std::string JudgeHistory(const History& history) {
  std::unordered_set<WriteId> seen;
  for (const auto& [key, its] : history) {
    for (const KeyEvent& event : its.events) {
      if (event.did == Did::kSaw) seen.insert(event.write);
    }
  }
  for (const auto& [key, its] : history) {
    std::string error = KeyJudge(key, its, seen).Run();
    if (!error.empty()) return error;
  }
  return "";
}

}  // namespace lightning::faults
