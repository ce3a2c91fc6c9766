// The invariants of what is not in the index: caches, lists and pools (I5 to I7).
#include "store/client/invariants.h"
#include "store/log/words.h"

namespace lightning {

void InvariantChecker::CheckRetiredList(const char* name, const Cell& head, const Cell& count, const Cell& bytes) {
  uint64_t objects = 0, total = 0;
  if (High(head.Load()) != 0) Violate("the head of %s is no object", name);
  for (ObjectId id{Low(head.Load())}; id;) {
    if (!segment_.Valid(id) || id.index() >= objects_.size() || ++objects > objects_.size()) {
      Violate("%s leads nowhere", name);
      return;
    }
    ClaimObject(id, Owner::kRetired, name);
    const ObjectFields fields = ObjectFields::Read(segment_.object(id));
    if (fields.head.state != ObjectState::kRetired) Violate("object %u is in %s and not retired", id.value, name);
    if (fields.Sane(segment_)) {
      ClaimBlockOf(id, name);
      total += fields.granules() * kGranule;
    } else {
      Violate("object %u has sizes that cannot be", id.value);
    }
    id = ObjectId{Low(segment_.object(id).links.Load())};
  }
  if (objects != count.Load()) Violate("%s is not as long as its count says", name);
  if (total != bytes.Load()) Violate("%s does not have as many bytes as its count says", name);
}

void InvariantChecker::CheckUnsealedList(const Slot& slot, SlotIndex index) {
  uint32_t before = 0;
  uint64_t steps = 0;
  if (High(slot.unsealed_head.Load()) != 0)
    Violate("the head of client slot %u's unsealed objects is no object", index);
  for (ObjectId id{Low(slot.unsealed_head.Load())}; id;) {
    if (!segment_.Valid(id) || id.index() >= objects_.size() || ++steps > objects_.size()) {
      Violate("the unsealed objects of client slot %u lead nowhere", index);
      return;
    }
    const Object& object = segment_.object(id);
    const ObjectFields fields = ObjectFields::Read(object);
    if (fields.head.state != ObjectState::kUnsealed || fields.head.owner != index)
      Violate("object %u is among the unsealed ones of client slot %u and is not its", id.value, index);
    // One that a put stages has no entry yet.
    if (objects_[id.index()] == Owner::kNobody) {
      ClaimObject(id, Owner::kUnlinked, "a client's staged objects");
      if (fields.Sane(segment_)) ClaimBlockOf(id, "a staged object");
    } else if (objects_[id.index()] == Owner::kIndex) {
      objects_[id.index()] = Owner::kUnlinked;
    } else {
      Violate("object %u is unsealed and something else as well", id.value);
    }
    if (High(object.links.Load()) != before) Violate("object %u does not know the one before it", id.value);
    before = id.value;
    id = ObjectId{Low(object.links.Load())};
  }
}

void InvariantChecker::CheckSlots() {
  uint64_t subscriptions = 0;
  for (SlotIndex i = 0; i < g_.max_clients; ++i) {
    const Slot& slot = segment_.slot(i);
    const uint64_t ids = slot.id_count.Load(), blocks = slot.block_count.Load();
    const bool free = SlotState::Decode(slot.state.Load()).life == SlotLife::kFree;
    // Those who recover look no further than the count, which rises before a slot is claimed.
    if (!free && i >= segment_.slots_used()) Violate("client slot %u is in use and was never counted", i);
    if (ids > kIdCache || blocks > kBlockCache) {
      Violate("client slot %u keeps more than it has room for", i);
      continue;
    }
    for (uint64_t k = 0; k < ids; ++k) {
      const ObjectId id{Low(slot.ids[k].Load())};
      ClaimObject(id, Owner::kCache, "a client's cache");
      if (segment_.Valid(id) && ObjectFields::Read(segment_.object(id)).head.state != ObjectState::kFree)
        Violate("object %u is kept for use by client slot %u and not free", id.value, i);
    }
    for (uint64_t k = 0; k < blocks; ++k) {
      const uint64_t word = slot.blocks[k].Load();
      const BlockId id{Low(word)};
      ClaimBlock(id, High(word), "a client's cache");
      if (segment_.Valid(id) && High(segment_.block(id).extent.Load()) != slot.places[k].Load())
        Violate("client slot %u is wrong about where block %u begins", i, id.value);
    }
    CheckRetiredList("a client's retired objects", slot.retired_head, slot.retired_count, slot.retired_bytes);
    CheckUnsealedList(slot, i);
    subscriptions += slot.subscriptions.Load();
    const bool empty = ids == 0 && blocks == 0 && slot.credits.Load() == 0 && slot.retired_count.Load() == 0 &&
                       slot.unsealed_head.Load() == 0 && slot.subscriptions.Load() == 0;
    if (free && !empty) Violate("client slot %u is free and still has something", i);
  }
  if (subscriptions != segment_.central().subscribers.Load()) Violate("the count of subscribers is wrong");
}

void InvariantChecker::CheckPools() {
  const Central& central = segment_.central();
  uint64_t ids = 0;
  for (ObjectId id{Low(central.object_free_list.Load())}; id; id = ObjectId{Low(segment_.object(id).links.Load())}) {
    if (!segment_.Valid(id) || id.index() >= objects_.size() || ++ids > objects_.size()) {
      Violate("the list of free objects leads nowhere");
      return;
    }
    ClaimObject(id, Owner::kPool, "the list of free objects");
    if (ObjectFields::Read(segment_.object(id)).head.state != ObjectState::kFree)
      Violate("object %u is in the list of free ones and not free", id.value);
  }
  if (ids + g_.objects - objects_.size() != central.object_free_count.Load())
    Violate("the count of free objects is wrong");

  uint64_t descriptors = 0;
  for (BlockId id{Low(central.block_free_list.Load())}; id; id = BlockId{Low(segment_.block(id).free_links.Load())}) {
    if (!segment_.Valid(id) || id.index() >= block_seen_.size() || block_seen_[id.index()] != 0) {
      Violate("the list of unused block descriptors leads to one in use");
      return;
    }
    block_seen_[id.index()] = 3;
    ++descriptors;
  }
  if (descriptors + used_blocks_ + free_blocks_ != block_seen_.size()) Violate("a block descriptor is lost");

  uint64_t buckets = 0;
  for (BucketId id{Low(central.overflow_free_list.Load())}; id; id = BucketId{Low(segment_.overflow(id).next.Load())}) {
    if (!segment_.Valid(id) || ++buckets > g_.overflow_buckets) {
      Violate("the list of unused buckets leads nowhere");
      return;
    }
  }
  if (buckets + chained_overflow_ != central.overflow_unused.Load()) Violate("an overflow bucket is lost");
  CheckRetiredList("the orphans", central.orphan_head, central.orphan_count, central.orphan_bytes);
}

void InvariantChecker::CheckAccounts() {
  for (size_t i = 0; i < objects_.size(); ++i) {
    if (objects_[i] == Owner::kNobody) Violate("object %zu is lost", i + 1);
    const bool unsealed = segment_.object(ObjectId{static_cast<uint32_t>(i + 1)}).head.Load() % 256 ==
                          static_cast<uint64_t>(ObjectState::kUnsealed);
    if (unsealed && objects_[i] == Owner::kIndex) Violate("object %zu is unsealed and nobody's", i + 1);
  }
  for (size_t i = 0; i < block_owned_.size(); ++i) {
    const bool used =
        segment_.block(BlockId{static_cast<uint32_t>(i + 1)}).state.Load() == static_cast<uint64_t>(BlockState::kUsed);
    if (used && block_seen_[i] != 0 && block_owned_[i] == 0) Violate("block %zu is used by nobody", i + 1);
  }
  uint64_t credits = segment_.central().credits.Load();
  for (SlotIndex i = 0; i < g_.max_clients; ++i) credits += segment_.slot(i).credits.Load();
  if (credits + indexed_ != g_.max_objects)
    Violate("%llu objects and %llu credits do not make max_objects", static_cast<unsigned long long>(indexed_),
            static_cast<unsigned long long>(credits));
}

}  // namespace lightning
