#include "store/log/recovery.h"

#include <algorithm>

namespace lightning {

bool Recovery::IsAlive(SlotIndex index, const SlotState& state) {
  if (index == environment_.self) return true;
  ClientIdentity identity;
  const bool known = state.life != SlotLife::kAttaching;
  if (known) {
    const Slot& slot = environment_.segment.slot(index);
    identity = {slot.pid.Load(), slot.start_time.Load(), slot.namespaces.Load(), slot.boot.Load()};
  }
  window_.Suspend();
  const bool alive = environment_.kernel->IsAlive(index, known ? &identity : nullptr);
  window_.Resume();
  return alive;
}

bool Recovery::TakeClaim(SlotIndex index, SlotState* before) {
  const Slot& slot = environment_.segment.slot(index);
  const uint64_t word = slot.state.Load();
  *before = SlotState::Decode(word);
  switch (before->life) {
    case SlotLife::kFree:
      return false;
    case SlotLife::kAttaching:
    case SlotLife::kActive:
      if (IsAlive(index, *before)) return false;
      break;
    case SlotLife::kRecovering: {
      // The claim stands while the recoverer lives, however long it takes.
      if (before->recoverer == kAttacher) {
        // There is one attacher at a time; if it is this process, the claim is a dead one's.
        if (environment_.self != kAttacher && IsAlive(kAttacher, SlotState{SlotLife::kAttaching})) return false;
        break;
      }
      if (before->recoverer >= environment_.segment.geometry().max_clients)
        break;  // no such slot, so nobody who could go on
      const Slot& recoverer = environment_.segment.slot(before->recoverer);
      const SlotState its = SlotState::Decode(recoverer.state.Load());
      const bool same = its.life == SlotLife::kActive && its.generation == before->recoverer_generation;
      if (same && IsAlive(before->recoverer, its)) return false;
      break;
    }
    case SlotLife::kRolledBack:
      break;
  }
  const SlotState claim{SlotLife::kRecovering, before->generation, environment_.self, environment_.generation};
  // Fails when anything moved since: whoever moved it goes on.
  return window_.CompareExchange(slot.state, word, claim.Encode());
}

Status Recovery::Undo(const Slot& slot) {
  const uint64_t count = slot.log_count.Load();
  if (count > kLogCapacity) return Status(Code::kCorrupt, "an undo log has more entries than it has room for");
  for (uint64_t i = 0; i < count; ++i) {
    if (!environment_.segment.IsCell(slot.log[i].offset.Load()))
      return Status(Code::kCorrupt, "an undo log names a word that no transaction changes");
  }
  for (uint64_t i = count; i-- > 0;) {
    const auto& cell = *reinterpret_cast<const Cell*>(environment_.segment.bytes(slot.log[i].offset.Load()));
    window_.Store(cell, slot.log[i].old.Load());
  }
  window_.Store(slot.log_count, 0);
  return {};
}

void Recovery::ReleaseLocks(SlotIndex index, const Slot& slot) {
  const uint64_t owner = LockValue::Owner(index, SlotState::Decode(slot.state.Load()).generation);
  const auto count = std::min<uint64_t>(slot.held_count.Load(), kMaxHeldLocks);
  for (uint64_t i = count; i-- > 0;) {
    const uint64_t offset = slot.held[i].Load();
    if (!environment_.segment.IsLock(offset)) continue;
    const auto& lock = *reinterpret_cast<const LockWord*>(environment_.segment.bytes(offset));
    const uint64_t word = lock.Load();
    if (LockValue::IsHeldBy(word, owner)) window_.Store(lock, LockValue::Freed(word));
  }
  window_.Store(slot.held_count, 0);
  window_.Store(slot.activity, (slot.activity.Load() | 1) + 1);
}

void Recovery::SetLife(SlotIndex index, SlotLife life) {
  const Slot& slot = environment_.segment.slot(index);
  const uint64_t word = slot.state.Load();
  const SlotState state{life, SlotState::Decode(word).generation, 0, 0};
  LIGHTNING_ASSERT(window_.CompareExchange(slot.state, word, state.Encode()));
}

Result<bool> Recovery::Claim(SlotIndex index) {
  SlotState before;
  if (!TakeClaim(index, &before)) return false;
  const Slot& slot = environment_.segment.slot(index);
  const Status status = Undo(slot);
  if (!status.ok()) {
    window_.CompareExchange(slot.state, slot.state.Load(), before.Encode());
    return status;
  }
  ReleaseLocks(index, slot);
  return true;
}

void Recovery::Unclaim(SlotIndex index) { SetLife(index, SlotLife::kRolledBack); }
void Recovery::Free(SlotIndex index) { SetLife(index, SlotLife::kFree); }

Result<bool> Recovery::RollBack(SlotIndex index) {
  if (index >= environment_.segment.geometry().max_clients)
    return Status(Code::kCorrupt, "a lock names no client slot");
  const SlotLife life = SlotState::Decode(environment_.segment.slot(index).state.Load()).life;
  // Nothing left to undo; but its locks were seen held a moment ago, so look again.
  if (life == SlotLife::kFree || life == SlotLife::kRolledBack) return true;
  const Result<bool> claimed = Claim(index);
  if (!claimed.ok() || !*claimed) return claimed;
  Unclaim(index);
  auto& list = environment_.to_clean;
  if (std::find(list.begin(), list.end(), index) == list.end()) list.push_back(index);
  return true;
}

}  // namespace lightning
