// PutBatch: every object is made first, unseen; then one transaction puts all of them in place.
#include <algorithm>
#include <array>

#include "store/client/cleanup.h"
#include "store/client/core.h"
#include "store/client/retry.h"
#include "store/index/eviction.h"

namespace lightning {

Result<std::vector<uint64_t>> ClientCore::TryBatch(std::span<const Key> keys, std::span<const ObjectId> staged,
                                                   SlotIndex* creator) {
  // By address: the order of locks that excludes deadlock.
  std::vector<const Bucket*> homes;
  homes.reserve(keys.size());
  for (const Key& key : keys) homes.push_back(&env_.segment.home(key.hash));
  std::sort(homes.begin(), homes.end());
  std::vector<uint64_t> versions(keys.size());

  Window window(*gate_);
  Transaction t(env_, window, env_.self);
  Status status = t.Lock(t.slot().lock);
  if (status.ok()) status = SupplyCredits(t, keys.size());
  for (const Bucket* home : homes) {
    if (status.ok()) status = t.Lock(home->lock);
  }
  if (!status.ok()) return status;
  for (size_t i = 0; i < keys.size(); ++i) {
    SealStaged(t, staged[i]);
    status = Publish(t, keys[i], staged[i], nullptr, &versions[i], creator);
    if (!status.ok()) return status;
  }
  // Only now: a chain that grows takes the central lock, and the events' lock comes after every other.
  for (size_t i = 0; i < keys.size(); ++i) {
    status = AppendSealed(t, keys[i], staged[i]);
    if (!status.ok()) return status;
  }
  t.Commit(1);
  for (const ObjectId id : staged) NoteUse(*page_, id, Ticks());
  Tidy(t);
  return versions;
}

Status ClientCore::SupplyCredits(Transaction& t, uint64_t wanted) {
  const Central& central = env_.segment.central();
  if (t.slot().credits.Load() >= wanted || central.credits.Load() == 0) return {};
  const Status status = t.Lock(central.lock);
  if (!status.ok()) return status;
  Caches(t).FetchCredits(wanted - t.slot().credits.Load());
  t.Commit(1);
  return {};
}

Result<std::vector<ObjectId>> ClientCore::StageAll(std::span<const BatchItem> items, std::span<const Key> keys) {
  std::vector<ObjectId> staged;
  staged.reserve(items.size());
  for (size_t i = 0; i < items.size(); ++i) {
    const NewObject object{keys[i], items[i].value, items[i].metadata, items[i].value.size()};
    const Result<ObjectId> id = Retry<Result<ObjectId>>(object.granules(), [&](SlotIndex*) { return Stage(object); });
    if (!id.ok()) {
      for (const ObjectId done : staged) {
        const Status undone = Unstage(done);
        if (!undone.ok()) return undone;
      }
      return id.status();
    }
    staged.push_back(*id);
  }
  return staged;
}

Result<std::vector<uint64_t>> ClientCore::PutBatch(std::span<const BatchItem> items, Nanoseconds timeout) {
  if (items.size() > kMaxBatchSize) return Status(Code::kInvalidArgument, "a batch has at most 64 keys");
  std::vector<Key> keys;
  keys.reserve(items.size());
  for (const BatchItem& item : items) {
    const Status status = CheckArguments(item.key, item.value.size(), item.metadata);
    if (!status.ok()) return status;
    if (gate_->Overlaps(item.value.data(), item.value.size()))
      return Status(Code::kInvalidArgument, "the bytes lie in the store's control mapping");
    for (const Key& other : keys) {
      if (other.bytes == item.key) return Status(Code::kInvalidArgument, "a batch names a key twice");
    }
    keys.emplace_back(env_.segment, item.key);
  }
  if (items.empty()) {
    const Status usable = Usable();
    if (!usable.ok()) return usable;
    return std::vector<uint64_t>{};
  }
  Turn turn(*this, timeout);
  if (const Status entered = turn.Usable(); !entered.ok()) return entered;
  const Result<std::vector<ObjectId>> staged = StageAll(items, keys);
  if (!staged.ok()) return staged.status();
  Result<std::vector<uint64_t>> versions =
      Retry<Result<std::vector<uint64_t>>>(0, [&](SlotIndex* creator) { return TryBatch(keys, *staged, creator); });
  if (!versions.ok()) {
    for (const ObjectId id : *staged) {
      const Status status = Unstage(id);
      if (!status.ok()) return status;
    }
    return versions;
  }
  page_->puts.store(page_->puts.load(std::memory_order_relaxed) + items.size(), std::memory_order_relaxed);
  for (const Key& key : keys) Ring(key);
  return versions;
}

}  // namespace lightning
