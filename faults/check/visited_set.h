// The configurations that a search has been to: exact, not by hash alone, and forgotten in no time.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace lightning::faults {

class VisitedSet {
 public:
  // Forgets everything; what comes has `exact` words that must be equal and `counts` words that may grow.
  void Reset(size_t exact, size_t counts);
  // False when something was added before that has the same first words, and whose counts are all at most these: what
  // can be done with more used up can be done with less.
  bool Add(std::span<const uint64_t> words);
  uint64_t bytes() const { return records_.size() * sizeof(uint64_t) + table_.size() * sizeof(Bucket); }

 private:
  struct Bucket {
    uint64_t generation = 0;
    uint64_t first = 0;  // of a list of records
  };
  void Grow();
  Bucket& BucketOf(uint64_t hash) { return table_[hash & (table_.size() - 1)]; }

  size_t exact_ = 1, counts_ = 0;
  uint64_t generation_ = 0, size_ = 0;
  std::vector<Bucket> table_;
  std::vector<uint64_t> records_;  // each: hash, the next of its bucket, words
};

}  // namespace lightning::faults
