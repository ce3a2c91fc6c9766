#include "store/client/invariants.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>

#include "store/log/words.h"

namespace lightning {

void InvariantChecker::Violate(const char* format, ...) {
  constexpr size_t kEnough = 50;
  if (violations_->size() >= kEnough) return;
  char text[256];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  violations_->push_back(text);
}

void InvariantChecker::Run() {
  const Central& central = segment_.central();
  // Both are read once: others may raise them meanwhile, and what is sized by them must be of one size.
  const uint64_t objects = central.object_unused.Load(), blocks = central.block_unused.Load();
  if (objects > g_.objects || blocks > g_.blocks || central.overflow_unused.Load() > g_.overflow_buckets) {
    Violate("a pool says that it has used more than it has");
    return;
  }
  objects_.assign(objects, Owner::kNobody);
  block_seen_.assign(blocks, 0);
  block_owned_.assign(blocks, 0);
  CheckLocks();
  CheckBlocks();
  CheckBins();
  CheckIndex();
  CheckSlots();
  CheckPools();
  CheckAccounts();
}

void InvariantChecker::CheckLocks() {
  const Central& central = segment_.central();
  if (LockValue::IsHeld(central.lock.Load())) Violate("the central lock is held by nobody inside an operation");
  if (LockValue::IsHeld(central.event_lock.Load())) Violate("the event lock is held by nobody inside an operation");
  for (uint32_t i = 0; i < g_.home_buckets; ++i) {
    if (LockValue::IsHeld(segment_.home_at(i).lock.Load()))
      Violate("the lock of bucket %u is held by nobody inside an operation", i);
  }
  for (SlotIndex i = 0; i < g_.max_clients; ++i) {
    const Slot& slot = segment_.slot(i);
    if (LockValue::IsHeld(slot.lock.Load())) Violate("the lock of client slot %u is held", i);
    if (slot.log_count.Load() != 0)
      Violate("client slot %u has a log of %llu entries", i, static_cast<unsigned long long>(slot.log_count.Load()));
  }
}

void InvariantChecker::CheckBlocks() {
  uint64_t at = 0, free_granules = 0;
  bool before_free = false;
  BlockId before{};
  // Splitting and merging keep the id of the lower part, so the first block of the heap is always block 1.
  for (BlockId id{1}; id;) {
    if (!segment_.Valid(id) || id.index() >= block_seen_.size() || block_seen_[id.index()] != 0) {
      Violate("the chain of blocks leads to block %u, which cannot be", id.value);
      return;
    }
    block_seen_[id.index()] = 1;
    const Block& block = segment_.block(id);
    const uint64_t extent = block.extent.Load(), neighbours = block.neighbours.Load(), state = block.state.Load();
    if (High(extent) != at || Low(extent) == 0) Violate("block %u does not begin where the one before ends", id.value);
    if (High(neighbours) != before.value) Violate("block %u does not know the block before it", id.value);
    const bool is_free = state == static_cast<uint64_t>(BlockState::kFree);
    if (!is_free && state != static_cast<uint64_t>(BlockState::kUsed)) Violate("block %u has no state", id.value);
    if (is_free && before_free) Violate("blocks %u and %u are both free and not merged", before.value, id.value);
    if (is_free) {
      free_granules += Low(extent);
      ++free_blocks_;
    } else {
      ++used_blocks_;
    }
    at += Low(extent);
    before_free = is_free;
    before = id;
    id = BlockId{Low(neighbours)};
  }
  if (at != g_.heap_granules) Violate("the blocks end before the heap does");
  if (free_granules != segment_.central().free_granules.Load()) Violate("the count of free granules is wrong");
}

void InvariantChecker::CheckBins() {
  const Central& central = segment_.central();
  uint64_t listed = 0;
  for (uint32_t bin = 0; bin < kBins; ++bin) {
    BlockId id{Low(central.bins[bin].Load())};
    const bool marked = (central.second_level[bin / kSecondLevel].Load() >> bin % kSecondLevel & 1) != 0;
    if (marked != static_cast<bool>(id)) Violate("the bitmap is wrong about bin %u", bin);
    uint32_t before = 0;
    while (id) {
      if (!segment_.Valid(id) || id.index() >= block_seen_.size() || block_seen_[id.index()] != 1 ||
          segment_.block(id).state.Load() != static_cast<uint64_t>(BlockState::kFree)) {
        Violate("bin %u lists block %u, which is not free or is listed twice", bin, id.value);
        break;
      }
      block_seen_[id.index()] = 2;
      ++listed;
      const Block& block = segment_.block(id);
      if (BinOf(Low(block.extent.Load())) != bin) Violate("block %u is in the wrong bin", id.value);
      if (High(block.free_links.Load()) != before) Violate("block %u does not know the one before it", id.value);
      before = id.value;
      id = BlockId{Low(block.free_links.Load())};
    }
  }
  const uint64_t first_level = central.first_level.Load();
  if (first_level >> kFirstLevel != 0) Violate("the first-level bitmap names bins that there are not");
  for (uint32_t first = 0; first < kFirstLevel; ++first) {
    const uint64_t second_level = central.second_level[first].Load();
    if (second_level >> kSecondLevel != 0) Violate("the bitmap of bins %u names bins that there are not", first);
    const bool marked = (first_level >> first & 1) != 0;
    if (marked != (second_level != 0)) Violate("the first-level bitmap is wrong about %u", first);
  }
  if (listed != free_blocks_) Violate("a free block is in no bin");
}

void InvariantChecker::CheckIndex() {
  for (uint32_t i = 0; i < g_.home_buckets; ++i) CheckChain(i);
}

void InvariantChecker::CheckChain(uint32_t home_index) {
  const Bucket& home = segment_.home_at(home_index);
  std::vector<std::string> keys;
  bool gap = false;
  const Bucket* bucket = &home;
  for (;;) {
    if (bucket != &home && bucket->entry(0).Load() == 0) Violate("the chain of bucket %u ends empty", home_index);
    for (uint32_t k = 0; k < kBucketEntries; ++k) {
      const uint64_t entry = bucket->entry(k).Load();
      if (entry != 0 && gap) Violate("the chain of bucket %u is not compact", home_index);
      gap |= entry == 0;
      if (entry != 0) CheckEntry(home, home_index, Place{bucket, k, entry}, &keys);
    }
    const BucketId next{Low(bucket->next.Load())};
    if (!next) break;
    if (!segment_.Valid(next) || ++chained_overflow_ > g_.overflow_buckets) {
      Violate("the chain of bucket %u leads nowhere", home_index);
      return;
    }
    bucket = &segment_.overflow(next);
  }
  std::sort(keys.begin(), keys.end());
  if (std::adjacent_find(keys.begin(), keys.end()) != keys.end()) Violate("bucket %u has a key twice", home_index);
}

void InvariantChecker::CheckEntry(const Bucket& home, uint32_t home_index, const Place& place,
                                  std::vector<std::string>* keys) {
  const uint64_t entry = place.entry;
  const ObjectId id = place.object();
  if (!segment_.Valid(id) || id.index() >= objects_.size()) {
    Violate("bucket %u names object %u, which cannot be", home_index, id.value);
    return;
  }
  ++indexed_;
  ClaimObject(id, Owner::kIndex, "the index");
  const Object& object = segment_.object(id);
  const ObjectFields fields = ObjectFields::Read(object);
  const ObjectState expected = EntryUnsealed(entry) ? ObjectState::kUnsealed : ObjectState::kSealed;
  if (fields.head.state != expected) Violate("object %u is not in the state that the index says", id.value);
  if (!fields.Sane(segment_) || fields.granules() > g_.heap_granules) {
    Violate("object %u has sizes that cannot be", id.value);
    return;
  }
  if (place.value() != ValueGranule(segment_, object) ||
      EntryLines(entry) != EntryLines(MakeEntry(id, 0, fields.size, false)))
    Violate("bucket %u is wrong about where the value of object %u stands", home_index, id.value);
  ClaimBlockOf(id, "an object");
  std::string name = KeyOf(segment_, object);
  const Key key(segment_, name);
  if (&segment_.home(key.hash) != &home || !EntryMatches(entry, key.hash))
    Violate("object %u is listed under a key that is not its own", id.value);
  // Of a long key, the beginning stands in the record once more, and that is what a lookup compares first.
  if (!KeyEquals(segment_, object, key)) Violate("object %u has two keys", id.value);
  // An unsealed object has no version yet, but whatever its record held before.
  if (expected == ObjectState::kSealed && fields.version > home.versions.Load())
    Violate("object %u has a version from the future", id.value);
  if (expected == ObjectState::kSealed && fields.version == 0)
    Violate("object %u is sealed without a version", id.value);
  keys->push_back(std::move(name));
}

void InvariantChecker::ClaimObject(ObjectId id, Owner owner, const char* where) {
  if (!segment_.Valid(id) || id.index() >= objects_.size()) {
    Violate("%s names object %u, which cannot be", where, id.value);
    return;
  }
  if (objects_[id.index()] != Owner::kNobody) Violate("object %u has two owners, one of them %s", id.value, where);
  objects_[id.index()] = owner;
}

void InvariantChecker::ClaimBlockOf(ObjectId id, const char* where) {
  const ObjectFields fields = ObjectFields::Read(segment_.object(id));
  if (fields.granules() == 0) return;
  ClaimBlock(fields.block, fields.granules(), where);
  if (!segment_.Valid(fields.block)) return;
  const uint64_t begin = g_.heap + uint64_t{High(segment_.block(fields.block).extent.Load())} * kGranule;
  if (fields.payload != begin) Violate("object %u does not begin where its block does", id.value);
}

void InvariantChecker::ClaimBlock(BlockId id, uint64_t granules, const char* where) {
  if (!segment_.Valid(id) || id.index() >= block_seen_.size() || block_seen_[id.index()] == 0) {
    Violate("%s has block %u, which is no block of the heap", where, id.value);
    return;
  }
  const Block& block = segment_.block(id);
  if (block.state.Load() != static_cast<uint64_t>(BlockState::kUsed))
    Violate("%s has block %u, which is free", where, id.value);
  if (Low(block.extent.Load()) != granules) Violate("%s has block %u, which is of another size", where, id.value);
  if (block_owned_[id.index()] != 0) Violate("block %u has two owners, one of them %s", id.value, where);
  block_owned_[id.index()] = 1;
}

}  // namespace lightning
