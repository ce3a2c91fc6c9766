// Memory that is free but at hand of somebody: retired objects nobody pins any more, other clients' caches, what the
// dead left.
#include <algorithm>

#include "store/client/cleanup.h"
#include "store/client/core.h"
#include "store/log/recovery.h"

namespace lightning {

Status ClientCore::LockPatiently(Transaction& t, const LockWord& lock, Nanoseconds patience) {
  LockWait wait;
  for (;;) {
    const Status status = t.TryLock(lock);
    if (status.code() != Code::kTimeout || patience.count() <= 0) return status;
    t.window().Suspend();
    const Status waited = wait.Yield(*kernel_, patience);
    t.window().Resume();
    if (!waited.ok()) return waited;
  }
}

Result<uint64_t> ClientCore::ReclaimSlot(SlotIndex index, Nanoseconds patience) {
  const Slot& slot = env_.segment.slot(index);
  const Central& central = env_.segment.central();
  Window window(*gate_);
  Transaction t(env_, window, env_.self);
  // A client that does not end its operation keeps what it has. Nothing is held while waiting for it.
  const Status status = LockPatiently(t, slot.lock, patience);
  if (!status.ok()) return status.code() == Code::kTimeout ? Result<uint64_t>(uint64_t{0}) : status;
  window.Suspend();
  pinned_.Collect(env_.segment);
  window.Resume();
  Retired retired(t, slot);
  const Result<uint64_t> drained = retired.Drain(pinned_, /*to_centre=*/true, 1);
  if (!drained.ok()) return drained;
  Caches caches(t, slot);
  for (bool more = true; more;) {
    const Status locked = t.Lock(central.lock);
    if (!locked.ok()) return locked;
    more = caches.GiveBlocks(Caches::kRefill);
    more |= caches.GiveIds(Caches::kRefill);
    more |= caches.GiveCredits(0);
    t.Commit(1);
  }
  return drained;
}

Result<uint64_t> ClientCore::Reclaim(Nanoseconds patience) {
  uint64_t total = 0;
  const Nanoseconds begin = kernel_->Now();
  for (SlotIndex slot = 0; slot < env_.segment.slots_used(); ++slot) {
    if (SlotState::Decode(env_.segment.slot(slot).state.Load()).life != SlotLife::kActive) continue;
    const Result<uint64_t> bytes = ReclaimSlot(slot, patience - (kernel_->Now() - begin));
    CleanPending();
    if (!bytes.ok()) return bytes;
    total += *bytes;
  }
  const Central& central = env_.segment.central();
  if (Low(central.orphan_head.Load()) != 0) {
    Window window(*gate_);
    Transaction t(env_, window, env_.self);
    const Status status = t.Lock(central.lock);
    if (!status.ok()) return status;
    window.Suspend();
    pinned_.Collect(env_.segment);
    window.Resume();
    const Result<uint64_t> bytes = Retired::DrainOrphans(t, pinned_, 1);
    if (!bytes.ok()) return bytes;
    total += *bytes;
  }
  CleanPending();
  return total;
}

bool ClientCore::HasRoom(Code missing, uint64_t granules) const {
  const Central& central = env_.segment.central();
  if (missing == Code::kSegmentFull) return BlockHeap::LargestFree(env_.segment) >= granules;
  return central.credits.Load() != 0 && central.object_free_count.Load() != 0;
}

Result<bool> ClientCore::MakeRoom(Code why, uint64_t granules, int attempt) {
  // Others may take at once what is given back here; so many times in a row that is bad luck no longer.
  constexpr int kPatience = 8;
  if (attempt == 0) {
    const Result<uint32_t> recovered = RecoverDead();
    if (!recovered.ok()) return recovered.status();
  }
  if (attempt < kPatience) {
    const Result<uint64_t> reclaimed = Reclaim(env_.lock_timeout);
    if (!reclaimed.ok()) return reclaimed.status();
    if (attempt == 0 || HasRoom(why, granules)) return true;
  }
  if (env_.segment.super().eviction != static_cast<uint32_t>(Eviction::kLru)) return false;
  // A little more than asked for, since a scan costs more than an object.
  const Geometry& g = env_.segment.geometry();
  const uint64_t share = uint64_t{g.heap_granules} * kGranule / 128;
  const bool objects = why == Code::kTooManyObjects;
  const uint64_t bytes = objects ? 0 : std::max(granules * kGranule, share);
  const Result<Evicted> evicted = EvictLocked(bytes, objects ? std::max<uint64_t>(1, g.max_objects / 128) : 0);
  if (!evicted.ok()) return evicted.status();
  const Result<uint64_t> reclaimed = Reclaim(env_.lock_timeout);
  if (!reclaimed.ok()) return reclaimed.status();
  return evicted->objects != 0 || *reclaimed != 0;
}

Result<bool> ClientCore::RecoverSlot(SlotIndex slot) {
  if (slot == env_.self) return false;
  Window window(*gate_);
  Recovery recovery(env_, window);
  const Result<bool> claimed = recovery.Claim(slot);
  if (!claimed.ok() || !*claimed) return claimed;
  const Status status = CleanUp(env_, window, slot, /*died=*/true, &pinned_);
  if (!status.ok()) {
    recovery.Unclaim(slot);
    return status;
  }
  recovery.Free(slot);
  return true;
}

Result<uint32_t> ClientCore::RecoverDead() {
  uint32_t count = 0;
  for (SlotIndex slot = 0; slot < env_.segment.slots_used(); ++slot) {
    if (SlotState::Decode(env_.segment.slot(slot).state.Load()).life == SlotLife::kFree) continue;
    const Result<bool> recovered = RecoverSlot(slot);
    if (!recovered.ok()) return recovered.status();
    count += *recovered;
  }
  return count;
}

void ClientCore::CleanPending() {
  // One pass: what cannot be cleaned now stays `rolled back` for whoever comes next.
  while (!env_.to_clean.empty()) {
    const SlotIndex slot = env_.to_clean.back();
    env_.to_clean.pop_back();
    const size_t before = env_.to_clean.size();
    if (!RecoverSlot(slot).ok() && env_.to_clean.size() > before) return;
  }
}

Result<RecoveryReport> ClientCore::Recover() {
  const Status usable = Usable();
  if (!usable.ok()) return usable;
  Turn turn(*this);
  if (const Status entered = turn.Usable(); !entered.ok()) return entered;
  const Result<uint32_t> recovered = RecoverDead();
  if (!recovered.ok()) return recovered.status();
  CleanPending();
  const Result<uint64_t> bytes = Reclaim();
  if (!bytes.ok()) return bytes.status();
  RecoveryReport report;
  report.recovered = *recovered;
  report.bytes_reclaimed = *bytes;
  for (SlotIndex slot = 0; slot < env_.segment.slots_used(); ++slot)
    report.alive += SlotState::Decode(env_.segment.slot(slot).state.Load()).life == SlotLife::kActive;
  return report;
}

}  // namespace lightning
