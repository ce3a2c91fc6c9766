#include "faults/check/visited_set.h"

#include <algorithm>
#include <cstddef>

namespace lightning::faults {
namespace {

constexpr size_t kHead = 2;  // hash, next
constexpr uint64_t kNone = ~uint64_t{0};

}  // namespace

void VisitedSet::Reset(size_t exact, size_t counts) {
  exact_ = exact;
  counts_ = counts;
  size_ = 0;
  records_.clear();
  ++generation_;  // what the table holds is of an earlier one
  if (table_.empty()) table_.resize(64);
}

bool VisitedSet::Add(std::span<const uint64_t> words) {
  uint64_t hash = 0x9E37'79B9'7F4A'7C15;
  for (size_t i = 0; i < exact_; ++i) {
    hash = (hash ^ words[i]) * 0xBF58'476D'1CE4'E5B9;
    hash ^= hash >> 31;
  }
  Bucket* bucket = &BucketOf(hash);
  const auto exact = static_cast<std::ptrdiff_t>(exact_);
  for (uint64_t at = bucket->generation == generation_ ? bucket->first : kNone; at != kNone; at = records_[at + 1]) {
    if (records_[at] != hash) continue;
    const uint64_t* seen = &records_[at + kHead];
    if (!std::equal(words.begin(), words.begin() + exact, seen)) continue;
    bool covers = true;
    for (size_t i = exact_; covers && i < exact_ + counts_; ++i) covers = seen[i] <= words[i];
    if (covers) return false;
  }
  if (size_ >= table_.size()) {
    Grow();
    bucket = &BucketOf(hash);
  }
  const uint64_t record = records_.size();
  records_.push_back(hash);
  records_.push_back(bucket->generation == generation_ ? bucket->first : kNone);
  records_.insert(records_.end(), words.begin(), words.end());
  *bucket = {generation_, record};
  ++size_;
  return true;
}

void VisitedSet::Grow() {
  table_.assign(table_.size() * 4, {});
  for (uint64_t at = 0; at < records_.size(); at += kHead + exact_ + counts_) {
    Bucket& bucket = BucketOf(records_[at]);
    records_[at + 1] = bucket.generation == generation_ ? bucket.first : kNone;
    bucket = {generation_, at};
  }
}

}  // namespace lightning::faults
