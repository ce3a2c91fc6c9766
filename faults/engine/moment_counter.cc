#include "faults/engine/moment_counter.h"

#include "store/log/words.h"

namespace lightning::faults {

void MomentCounter::Note(const Segment& segment, uint64_t instruction, std::span<const WordChange> changes) {
  if (moment_.unit == Moment::kInstruction) {
    count_ = instruction;
    return;
  }
  if (moment_.unit == Moment::kStore) {
    ++count_;
    return;
  }
  for (const WordChange& change : changes) count_ += Means(segment, change) ? 1 : 0;
}

// Whether a changed word is what the unit counts.
bool MomentCounter::Means(const Segment& segment, const WordChange& change) {
  const Geometry& g = segment.geometry();
  const uint64_t offset = change.offset;
  if (segment.IsLock(offset)) {
    const bool held = LockValue::IsHeld(change.after);
    return moment_.unit == (held ? Moment::kLock : Moment::kUnlock);
  }
  if (offset >= g.slots && offset < g.buckets) {
    const uint64_t at = (offset - g.slots) % g.slot_stride;
    if (at == offsetof(Slot, log_count))
      return moment_.unit == (change.after == 0 ? Moment::kCommit : Moment::kLogCount);
    if (at == offsetof(Slot, state)) {
      const SlotLife life = SlotState::Decode(change.after).life;
      if (life == SlotLife::kRecovering) return moment_.unit == Moment::kClaim;
      return moment_.unit == Moment::kRelease && (life == SlotLife::kFree || life == SlotLife::kRolledBack);
    }
    if (moment_.unit != Moment::kLogEntry || at < offsetof(Slot, log) || at >= sizeof(Slot)) return false;
    // An entry is two words, of which one may happen to stay the same.
    const uint64_t entry = (offset - offsetof(Slot, log)) / sizeof(LogEntry) + 1;
    const uint64_t count = segment.slot(static_cast<SlotIndex>((offset - g.slots) / g.slot_stride)).log_count.Load();
    const bool same = entry == last_entry_ && count == last_log_count_;
    last_entry_ = entry;
    last_log_count_ = count;
    return !same;
  }
  if (offset < g.client_pages || offset >= g.doorbells) return false;
  const uint64_t at = (offset - g.client_pages) % g.client_page_stride;
  if (at < offsetof(ClientPage, pins)) return false;
  // Two pins share a word.
  const bool taken =
      (Low(change.before) == 0 && Low(change.after) != 0) || (High(change.before) == 0 && High(change.after) != 0);
  return moment_.unit == (taken ? Moment::kPin : Moment::kUnpin);
}

}  // namespace lightning::faults
