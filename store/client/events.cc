// The event ring: a copy of each change for whoever subscribed, in the order of the changes. Nobody pays for it while
// nobody listens.
#include <algorithm>
#include <cstring>

#include "store/client/core.h"

namespace lightning {

Status AppendEvent(Transaction& t, EventKind kind, std::string_view key, uint64_t version, uint64_t size) {
  const Segment& segment = t.segment();
  const Central& central = segment.central();
  if (central.subscribers.Load() == 0) return {};
  const Status status = t.Lock(central.event_lock);
  if (!status.ok()) return status;
  const uint64_t sequence = central.event_head.Load();
  const EventSlot& slot = segment.event(sequence);
  Window& window = t.window();
  // The slot holds no event while it changes; if this transaction is undone, what it held before has been lost, and a
  // subscriber who wanted it is told so.
  window.Store(slot.sequence, kNoEvent);
  window.Store(slot.kind_and_key_size, Pack(static_cast<uint32_t>(kind), static_cast<uint32_t>(key.size())));
  window.Store(slot.version, version);
  window.Store(slot.size, size);
  memcpy(window.Payload(segment.OffsetOf(slot.key), key.size()), key.data(), key.size());
  window.Store(slot.sequence, sequence);
  t.Set(central.event_head, sequence + 1);
  return {};
}

Result<Subscription> ClientCore::Subscribe() {
  const Status usable = Usable();
  if (!usable.ok()) return usable;
  const Central& central = env_.segment.central();
  Subscription subscription;
  {
    Turn turn(*this);
    if (const Status entered = turn.Usable(); !entered.ok()) return entered;
    const Status status = [&]() -> Status {
      Window window(*gate_);
      Transaction t(env_, window, env_.self);
      Status result = t.Lock(t.slot().lock);
      if (result.ok()) result = t.Lock(central.event_lock);
      if (!result.ok()) return result;
      t.Add(central.subscribers, 1);
      t.Add(t.slot().subscriptions, 1);
      subscription.next_ = central.event_head.Load();
      t.Commit(0);
      // An operation that began before it could see the new subscriber still holds its slot's lock. Once each lock was
      // free for a moment, every change has its event.
      for (SlotIndex slot = 0; slot < env_.segment.slots_used(); ++slot) {
        if (slot == env_.self || SlotState::Decode(env_.segment.slot(slot).state.Load()).life == SlotLife::kFree)
          continue;
        result = t.Lock(env_.segment.slot(slot).lock);
        if (!result.ok()) return result;
        t.Commit(0);
      }
      return {};
    }();
    CleanPending();
    if (!status.ok()) {
      UnsubscribeLocked();
      return status;
    }
  }
  subscription.core_ = this;
  AddReference();
  return subscription;
}

void ClientCore::UnsubscribeLocked() {
  const Central& central = env_.segment.central();
  Window window(*gate_);
  Transaction t(env_, window, env_.self);
  // On failure the count goes down when this client detaches.
  if (!t.Lock(t.slot().lock).ok() || !t.Lock(central.event_lock).ok() || t.slot().subscriptions.Load() == 0) return;
  t.Add(central.subscribers, ~uint64_t{0});
  t.Add(t.slot().subscriptions, ~uint64_t{0});
  t.Commit(0);
}

void ClientCore::Unsubscribe() {
  if (!Usable().ok()) return;
  Turn turn(*this);
  if (!turn.Usable().ok()) return;
  UnsubscribeLocked();
  CleanPending();
}

Code ClientCore::ReadEvent(Subscription& subscription, uint64_t head, Event* event) {
  const uint64_t capacity = env_.segment.geometry().event_slots;
  if (head - subscription.next_ > capacity) {
    subscription.lost_ += head - capacity - subscription.next_;
    subscription.next_ = head - capacity;
    return Code::kFellBehind;
  }
  const EventSlot& slot = env_.segment.event(subscription.next_);
  const uint64_t sequence = slot.sequence.Load();
  const uint64_t kind_and_size = slot.kind_and_key_size.Load();
  event->sequence = subscription.next_;
  event->kind = static_cast<EventKind>(High(kind_and_size));
  event->version = slot.version.Load();
  event->size = slot.size.Load();
  event->key.assign(slot.key, std::min<size_t>(Low(kind_and_size), kMaxKeySize));
  std::atomic_thread_fence(std::memory_order_acquire);
  const bool whole = sequence == subscription.next_ && slot.sequence.Load() == sequence;
  ++subscription.next_;
  if (whole) return Code::kOk;
  ++subscription.lost_;
  return Code::kFellBehind;
}

Result<Event> ClientCore::NextEvent(Subscription& subscription, Nanoseconds timeout) {
  const Status usable = UsableWithoutTurn();
  if (!usable.ok()) return usable;
  const Central& central = env_.segment.central();
  LockWait wait;
  Nanoseconds deadline{-1};
  for (;;) {
    const uint64_t word = central.event_lock.Load();
    if (LockValue::IsHeld(word)) {
      const Status status = WaitOut(central.event_lock, wait);
      if (!status.ok()) return status;
      continue;
    }
    // Only what was committed: the head under a free lock.
    const uint64_t head = central.event_head.Load();
    if (central.event_lock.Load() != word) continue;
    if (head != subscription.next_) {
      Event event;
      const Code code = ReadEvent(subscription, head, &event);
      if (code != Code::kOk) return code;
      return event;
    }
    const Nanoseconds now = kernel_->Now();
    if (deadline.count() < 0) deadline = DeadlineAfter(now, timeout);
    if (now >= deadline) return Status(Code::kTimeout, "no event in time");
    Sleep(kEventDoorbell, deadline - now, [&] { return central.event_lock.Load() != word; });
  }
}

}  // namespace lightning
