// One pass over a segment that stands still. Each function checks the invariants that its comment names; together they
// account for every object id, block, bucket and credit exactly once.
#pragma once

#include <string>
#include <vector>

#include "store/index/index.h"
#include "store/segment/segment.h"

namespace lightning {

class InvariantChecker {
 public:
  InvariantChecker(const Segment& segment, std::vector<std::string>* violations)
      : segment_(segment), g_(segment.geometry()), violations_(violations) {}

  void Run();

 private:
  // Who has an object id or a block.
  enum class Owner : uint8_t { kNobody, kPool, kCache, kIndex, kUnlinked, kRetired };

  void CheckLocks();   // I1: no lock is held, no log is left
  void CheckBlocks();  // I2: blocks tile the heap; neighbours agree; two free ones never touch
  void CheckBins();    // I3: each free block is in the bin of its size, once; the bitmaps say which bins are not empty
  void CheckIndex();   // I4: each entry stands in its key's chain, which is compact; keys differ; versions are in range
  void CheckSlots();   // I5: caches and lists of each client; a free slot has nothing, one in use is counted
  void CheckPools();   // I6: free ids, descriptors, overflow buckets; orphans
  void CheckAccounts();  // I7: each id and each used block has one owner; credits are what is left of max_objects

  void CheckChain(uint32_t home_index);
  void CheckEntry(const Bucket& home, uint32_t home_index, const Place& place, std::vector<std::string>* keys);
  void CheckRetiredList(const char* name, const Cell& head, const Cell& count, const Cell& bytes);
  void CheckUnsealedList(const Slot& slot, SlotIndex index);
  void ClaimObject(ObjectId id, Owner owner, const char* where);
  void ClaimBlockOf(ObjectId id, const char* where);
  void ClaimBlock(BlockId id, uint64_t granules, const char* where);
  __attribute__((format(printf, 2, 3))) void Violate(const char* format, ...);

  const Segment& segment_;
  const Geometry& g_;
  std::vector<std::string>* violations_;
  std::vector<Owner> objects_;        // by index
  std::vector<uint8_t> block_seen_;   // by index: in the heap's chain
  std::vector<uint8_t> block_owned_;  // by index: claimed by an object or a cache
  uint64_t used_blocks_ = 0, free_blocks_ = 0, chained_overflow_ = 0, indexed_ = 0;
};

}  // namespace lightning
