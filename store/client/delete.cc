// Delete and eviction: unlinking takes effect at once, the memory follows when no reader pins it.
#include <algorithm>

#include "store/client/core.h"
#include "store/client/retry.h"
#include "store/index/eviction.h"

namespace lightning {

Status ClientCore::Delete(std::string_view name, Nanoseconds timeout) {
  const Status checked = CheckArguments(name, 0, {});
  if (!checked.ok()) return checked;
  const Key key(env_.segment, name);
  index::PrefetchHome<1>(env_.segment.home(key.hash));
  Turn turn(*this, timeout);
  if (const Status entered = turn.Usable(); !entered.ok()) return entered;
  const Status deleted = Retry<Status>(0, [&](SlotIndex* creator) -> Status {
    Window window(*gate_);
    Transaction t(env_, window, env_.self);
    const Bucket& home = env_.segment.home(key.hash);
    Status status = t.Lock(t.slot().lock);
    PrefetchCurrent(key);
    if (status.ok()) status = t.Lock(home.lock);
    if (!status.ok()) return status;
    const Place place = index::Find(env_.segment, home, key);
    if (!place) return Code::kNotFound;
    const Object& object = env_.segment.object(place.object());
    if (EntryUnsealed(place.entry)) {
      *creator = ObjectHead::Decode(object.head.Load()).owner;
      return Code::kBeingCreated;
    }
    status = Unlink(t, home, place, key.bytes, EventKind::kDeleted);
    if (!status.ok()) return status;
    t.Commit(1);
    Tidy(t);
    return {};
  });
  page_->deletes.store(page_->deletes.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  if (!deleted.ok()) return deleted;
  Ring(key);
  return {};
}

Status ClientCore::Unlink(Transaction& t, const Bucket& home, const Place& place, std::string_view key,
                          EventKind kind) {
  const ObjectId id = place.object();
  const Object& object = env_.segment.object(id);
  Status status = index::Remove(t, home, place);
  if (!status.ok()) return status;
  Retired(t).Add(id);
  Caches(t).KeepCredit();
  return AppendEvent(t, kind, key, object.version.Load(), object.size.Load());
}

Result<bool> ClientCore::EvictOne(ObjectId id) {
  const Segment& segment = env_.segment;
  const Object& object = segment.object(id);
  const std::string name = KeyOf(segment, object);
  if (name.empty()) return false;
  const Key key(segment, name);
  const Bucket& home = segment.home(key.hash);
  Window window(*gate_);
  Transaction t(env_, window, env_.self);
  Status status = t.Lock(t.slot().lock);
  if (status.ok()) status = t.Lock(home.lock);
  if (!status.ok()) return status;
  // It may have been replaced, deleted or used again since it was chosen.
  const Place place = index::Find(segment, home, key);
  if (!place || place.object() != id || EntryUnsealed(place.entry)) return false;
  status = Unlink(t, home, place, key.bytes, EventKind::kEvicted);
  if (!status.ok()) return status;
  // Unlinked but not committed: a reader that pinned it before is seen now, and one that comes later finds the bucket
  // locked and looks again.
  window.Suspend();
  pinned_.Collect(segment);
  window.Resume();
  if (pinned_.Contains(id)) return false;
  t.Commit(1);
  if (t.Lock(segment.central().lock).ok()) {
    t.Add(segment.central().evictions, 1);
    t.Commit(1);
  }
  Tidy(t);
  return true;
}

Result<ClientCore::Evicted> ClientCore::EvictLocked(uint64_t bytes, uint64_t objects) {
  const Central& central = env_.segment.central();
  Evicted evicted;
  // The windows of the hand, each once.
  const uint64_t windows = env_.segment.geometry().objects / kEvictionWindow + 1;
  for (uint64_t i = 0; i < windows && (evicted.bytes < bytes || evicted.objects < objects); ++i) {
    pinned_.Collect(env_.segment);
    uint64_t next_hand = 0;
    const std::vector<Candidate> candidates =
        EvictionCandidates(env_.segment, pinned_, central.evict_hand.Load(), &next_hand);
    for (const Candidate& candidate : candidates) {
      if (evicted.bytes >= bytes && evicted.objects >= objects) break;
      const Result<bool> gone = EvictOne(candidate.id);
      CleanPending();
      if (!gone.ok()) return gone.status();
      if (!*gone) continue;
      evicted.bytes += candidate.bytes;
      ++evicted.objects;
    }
    Window window(*gate_);
    Transaction t(env_, window, env_.self);
    const Status status = t.Lock(central.lock);
    if (!status.ok()) return status;
    t.Set(central.evict_hand, next_hand);
    t.Commit(0);
  }
  return evicted;
}

Result<uint64_t> ClientCore::Evict(uint64_t bytes) {
  const Status usable = Usable();
  if (!usable.ok()) return usable;
  if (bytes == 0) return uint64_t{0};
  Turn turn(*this);
  if (const Status entered = turn.Usable(); !entered.ok()) return entered;
  const Result<Evicted> evicted = EvictLocked(bytes, 0);
  if (!evicted.ok()) return evicted.status();
  const Result<uint64_t> reclaimed = Reclaim();
  if (!reclaimed.ok()) return reclaimed;
  RingDoorbell(kEventDoorbell);
  return evicted->bytes;
}

}  // namespace lightning
