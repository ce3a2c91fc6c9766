#include "store/log/transaction.h"

#include <algorithm>

#include "store/log/recovery.h"

namespace lightning {

Status LockWait::Yield(Kernel& kernel, Nanoseconds limit) {
  constexpr Nanoseconds kLongestPause{200'000};
  const Nanoseconds now = kernel.Now();
  if (deadline_.count() < 0) deadline_ = DeadlineAfter(now, limit);
  if (now >= deadline_) return Status(Code::kTimeout, "a living client holds a lock and does not move");
  kernel.Pause(pause_);
  pause_ = std::min(kLongestPause, pause_ * 2 + Nanoseconds(pause_.count() == 0 ? 1000 : 0));
  spins_ = 0;
  return {};
}

Transaction::Transaction(Environment& environment, Window& window, SlotIndex acting)
    : environment_(environment),
      window_(window),
      acting_(acting),
      slot_(environment.segment.slot(acting)),
      owner_(LockValue::Owner(acting, SlotState::Decode(slot_.state.Load()).generation)) {
  window_.Store(slot_.activity, slot_.activity.Load() | 1);
}

Transaction::~Transaction() {
  if (count_ != 0) {
    Rollback(0);
  } else {
    ReleaseDownTo(0);
  }
  window_.Store(slot_.activity, (slot_.activity.Load() | 1) + 1);
}

bool Transaction::Holds(const LockWord& lock) const { return LockValue::IsHeldBy(lock.Load(), owner_); }

Status Transaction::Lock(const LockWord& lock) {
  const uint64_t word = lock.Load();
  if (LockValue::IsHeldBy(word, owner_)) return {};
  LIGHTNING_ASSERT(held_ < kMaxHeldLocks);
  // The intent first: a recoverer looks at every lock that is listed, and releases those that name the victim.
  window_.Store(slot_.held[held_], segment().OffsetOf(&lock));
  window_.Store(slot_.held_count, held_ + 1);
  if (!LockValue::IsHeld(word) && window_.CompareExchange(lock, word, LockValue::Taken(word, owner_))) {
    ++held_;
    return {};
  }
  const Status status = LockSlowly(lock);
  if (status.ok()) {
    ++held_;
  } else {
    window_.Store(slot_.held_count, held_);
  }
  return status;
}

Status Transaction::LockSlowly(const LockWord& lock) {
  LockWait wait;
  for (;;) {
    const uint64_t word = lock.Load();
    if (!LockValue::IsHeld(word)) {
      if (window_.CompareExchange(lock, word, LockValue::Taken(word, owner_))) return {};
      continue;
    }
    if (wait.Spin()) continue;
    const Result<bool> healed = Recovery(environment_, window_).RollBack(LockValue::OwnerSlot(word));
    if (!healed.ok()) return healed.status();
    if (*healed && lock.Load() != word) continue;
    window_.Suspend();
    const Status status = wait.Yield(*environment_.kernel, environment_.lock_timeout);
    window_.Resume();
    if (!status.ok()) return status;
  }
}

Status Transaction::TryLock(const LockWord& lock) {
  const uint64_t word = lock.Load();
  if (LockValue::IsHeld(word) && !LockValue::IsHeldBy(word, owner_)) {
    const Result<bool> healed = Recovery(environment_, window_).RollBack(LockValue::OwnerSlot(word));
    if (!healed.ok()) return healed.status();
    if (!*healed) return Code::kTimeout;
  }
  const uint64_t now = lock.Load();
  if (LockValue::IsHeld(now)) return Code::kTimeout;
  LIGHTNING_ASSERT(held_ < kMaxHeldLocks);
  window_.Store(slot_.held[held_], segment().OffsetOf(&lock));
  window_.Store(slot_.held_count, held_ + 1);
  if (window_.CompareExchange(lock, now, LockValue::Taken(now, owner_))) {
    ++held_;
    return {};
  }
  window_.Store(slot_.held_count, held_);
  return Code::kTimeout;
}

void Transaction::Set(std::span<const Write> writes) {
  LIGHTNING_ASSERT(count_ + writes.size() <= kLogCapacity);
  if (window_.touches()) [[unlikely]] {
    for (const Write& write : writes) Set(*write.cell, write.value);
    return;
  }
  const std::byte* const view = segment().view();
  const Window::Direct direct(window_);
  const LogEntry* entry = &slot_.log[count_];
  for (const Write& write : writes) {
    direct.Store(entry->offset, static_cast<uint64_t>(reinterpret_cast<const std::byte*>(write.cell) - view));
    direct.Store(entry->old, write.cell->Load());
    ++entry;
  }
  count_ += static_cast<uint32_t>(writes.size());
  direct.Store(slot_.log_count, count_);
  for (const Write& write : writes) direct.Store(*write.cell, write.value);
}

void Transaction::Commit(uint32_t keep_locks) {
  if (count_ != 0) {
    count_ = 0;
    window_.Store(slot_.log_count, 0);
  }
  ReleaseDownTo(keep_locks);
}

void Transaction::Rollback(uint32_t keep_locks) {
  for (uint32_t i = count_; i-- > 0;) {
    const uint64_t offset = slot_.log[i].offset.Load();
    const auto& cell = *reinterpret_cast<const Cell*>(segment().bytes(offset));
    window_.Store(cell, slot_.log[i].old.Load());
  }
  Commit(keep_locks);
}

void Transaction::ReleaseDownTo(uint32_t keep) {
  while (held_ > keep) {
    const auto& lock = *reinterpret_cast<const LockWord*>(segment().bytes(slot_.held[held_ - 1].Load()));
    window_.Store(lock, LockValue::Freed(lock.Load()));
    --held_;
    window_.Store(slot_.held_count, held_);
  }
}

}  // namespace lightning
