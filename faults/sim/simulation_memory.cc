// Accesses to shared words: what they see, what they leave, what they are steps of, and the crash states that they
// make.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "faults/sim/simulation.h"
#include "store/log/words.h"

namespace lightning::faults {
namespace {

uint64_t Mixed(uint64_t hash, uint64_t word) { return (hash ^ word) * 0x9E37'79B9'7F4A'7C15 + (hash >> 29); }

}  // namespace

uint64_t Simulation::Raw(uint64_t offset, uint32_t size) const {
  return LoadWord(memory_.segment().bytes(offset), size);
}

uint64_t Simulation::Seen(uint64_t offset, uint32_t size) const {
  const BufferedStore* const own = current_->buffer.Find(offset);
  return own != nullptr ? own->value : Raw(offset, size);
}

// A switch just before an access to what nobody but its own client acts on (its log, while it lives) changes nothing
// that one before the next access that others do see would not. So those are no points; every store is a crash point
// all the same.
inline void Simulation::Point(const WordInfo& info) {
  const Runner& runner = *current_;
  if (budget_ == 0 || runner.watched) return PointSlowly(info);
  if (info.IsPrivateTo(runner.slot)) return;
  --budget_;
  ++points_;
}

void Simulation::PointSlowly(const WordInfo& info) {
  Runner& runner = *current_;
  if (runner.payload_size != 0) FinishPayload(runner);
  if (info.IsPrivateTo(runner.slot)) return;
  if (budget_ == 0 || !error_.empty()) Suspend();
  --budget_;
  ++points_;
  Count(Moment::kPoint);
}

void Simulation::CountMoment(Moment::Unit unit) {
  Runner& runner = *current_;
  const uint64_t count = ++runner.counts[unit];
  for (const Trigger& trigger : runner.triggers) {
    if (trigger.at.unit != unit || trigger.at.number != count) continue;
    if (trigger.what == Trigger::kKill) {
      Kill(runner);
    } else {
      Drain(runner);
      runner.life = Life::kStopped;
      runner.stopped_until = trigger.points == 0 ? ~uint64_t{0} : points_ + trigger.points;
    }
    Suspend();
    return;
  }
}

void Simulation::CountStore(const WordInfo& info, uint64_t before, uint64_t value) {
  switch (info.kind) {
    case WordKind::kLogOld:
      Count(Moment::kLogEntry);
      break;
    case WordKind::kLogCount:
      Count(value == 0 ? Moment::kCommit : Moment::kLogCount);
      break;
    case WordKind::kLock:
      Count(High(value) != 0 ? Moment::kLock : Moment::kUnlock);
      break;
    case WordKind::kPin:
      Count(value != 0 ? Moment::kPin : Moment::kUnpin);
      break;
    case WordKind::kState: {
      const SlotLife life = SlotState::Decode(value).life;
      if (life == SlotLife::kRecovering) Count(Moment::kClaim);
      if (life == SlotLife::kRolledBack || life == SlotLife::kFree) Count(Moment::kRelease);
      break;
    }
    default:
      break;
  }
  if (before != value) Count(Moment::kStore);
}

// Rules 1 and 2, whatever recovery would make of it: a word of shared control state changes only while some undo log
// says what it was. A store that puts back what a log says is an undo.
void Simulation::CheckUndo(uint64_t offset, const WordInfo& info, uint64_t before, uint64_t value) {
  const Geometry& g = memory_.segment().geometry();
  // Whoever recovers acts as the victim: the entries that it writes there are its own stores.
  const auto covers = [&](SlotIndex slot) {
    const bool own = static_cast<int>(slot) == current_->slot;
    const auto word = [&](uint64_t at) { return own ? Raw(at, 8) : Seen(at, 8); };
    const uint64_t base = g.SlotOffset(slot);
    const uint64_t count = std::min<uint64_t>(word(base + offsetof(Slot, log_count)), kLogCapacity);
    for (uint64_t i = count; i-- > 0;) {
      const uint64_t entry = base + offsetof(Slot, log) + i * sizeof(LogEntry);
      if (word(entry) != offset) continue;
      const uint64_t old = word(entry + 8);
      if (old == before || old == value) return true;
    }
    return false;
  };
  if (current_->slot >= 0 && covers(static_cast<SlotIndex>(current_->slot))) return;
  for (SlotIndex slot = 0; slot < g.max_clients; ++slot) {
    if (covers(slot)) return;
  }
  const AllocationScope scope(nullptr);
  Fail(fmt::format("client {} changed {} at offset {} from {:#x} to {:#x}, and no undo log says what it was",
                   current_->name, WordKindName(info.kind), offset, before, value));
}

void Simulation::WriteLog(bool store, uint64_t offset, uint64_t before, uint64_t value) {
  const AllocationScope scope(nullptr);
  log_->push_back({points_, offset, before, value, current_number_, store});
}

// By the current client, whose store has just made a state that may be another one. Most were seen before: switching to
// the thread's own stack and back would take longer than finding that out.
void Simulation::MeetCrash() {
  ++counts_.crash_states;
  uint64_t progress = 0;
  for (uint32_t i = 0; i < movers_; ++i) {
    const Actor* const actor = runners_[i]->actor;
    if (actor != nullptr) progress += actor->steps() * (2 * i + 1) * 0xD6E8'FEB8'6659'FD93;
  }
  {
    const AllocationScope scope(nullptr);
    if (!observer_->IsNew(image_.hash() ^ progress)) return;
  }
  crash_pending_ = true;
  Suspend();
}

void Simulation::ShowCrash() {
  SetSharedMemoryHooks(nullptr, nullptr);
  std::string error = observer_->Check(image_, record_);
  SetSharedMemoryHooks(this, this);
  if (observer_->SawEnough()) {
    observer_ = nullptr;
    imaged_ = log_ != nullptr;
  }
  if (!error.empty()) Fail("if everybody died here: " + error);
}

// A store has happened as far as its own client can tell.
inline void Simulation::Retire(uint64_t offset, const WordInfo& info, uint32_t size, uint64_t before, uint64_t value) {
  if (info.kind == WordKind::kCell || info.kind == WordKind::kSlotCell) CheckUndo(offset, info, before, value);
  const bool changed = imaged_ && image_.Write(offset, size, value);
  Log(/*store=*/true, offset, before, value);
  stored_[offset / 8] = true;
  ++counts_.stores;
  if (!info.IsPrivateTo(current_->slot)) trace_ = Mixed(trace_, offset ^ value << 20 ^ current_number_);
  if (changed && observer_ != nullptr) MeetCrash();
  if (!current_->triggers.empty()) CountStore(info, before, value);
}

inline void Simulation::Arrive(const BufferedStore& store) {
  dirty_.Mark(store.offset);
  std::byte* const place = memory_.data() + store.offset;
  if (store.size == 8) {
    memcpy(place, &store.value, 8);
  } else {
    memcpy(place, &store.value, 4);
  }
}

inline void Simulation::Commit(const BufferedStore& store) {
  Arrive(store);
  if (pollers_ != 0) WakePollersOf(store.offset);
}

void Simulation::WakePollersOf(uint64_t offset) {
  for (const auto& runner : runners_) {
    const bool polls = runner->life == Life::kWaiting && runner->word == nullptr;
    if (polls && (runner->polled & PolledBit(offset)) != 0) runner->life = Life::kReady;
  }
}

void Simulation::Drain(Runner& runner, size_t keep) {
  while (runner.buffer.size() > keep) Commit(runner.buffer.Pop());
}

void Simulation::FinishPayload(Runner& runner) {
  const uint64_t size = std::exchange(runner.payload_size, 0);
  Watch(runner);
  for (uint64_t at = runner.payload; at < runner.payload + size; at += 8) stored_[at / 8] = true;
  const bool changed = imaged_ && image_.WriteBytes(runner.payload, memory_.data() + runner.payload, size);
  if (changed && observer_ != nullptr) MeetCrash();
}

uint64_t Simulation::Load(const void* place, uint32_t size) {
  const uint64_t offset = OffsetOf(place);
  const WordInfo& info = words_.At(offset);
  if (info.IsPrivateTo(current_->slot)) {
    if (current_->payload_size != 0) FinishPayload(*current_);
    const uint64_t value = Raw(offset, size);
    Log(/*store=*/false, offset, value, value);
    return value;
  }
  Point(info);
  current_->polled |= PolledBit(offset);
  if (const BufferedStore* const own = current_->buffer.Find(offset)) return own->value;
  const uint64_t value = Raw(offset, size);
  Log(/*store=*/false, offset, value, value);
  trace_ = Mixed(trace_, offset ^ value << 20);
  return value;
}

void Simulation::Store(void* place, uint32_t size, uint64_t value) {
  const uint64_t offset = OffsetOf(place);
  if (!scheduled_) return Commit({offset, value, size});
  const WordInfo& info = words_.At(offset);
  Point(info);
  Runner& runner = *current_;
  // What nobody else acts on while its client lives need not wait: when the client dies, all that it stored arrives.
  if (info.IsPrivateTo(runner.slot)) {
    const uint64_t before = Raw(offset, size);
    Arrive({offset, value, size});
    return Retire(offset, info, size, before, value);
  }
  const uint64_t before = Seen(offset, size);
  if (!buffers_) {
    Commit({offset, value, size});
  } else {
    if (runner.buffer.size() >= plan_.schedule.buffer) Drain(runner, plan_.schedule.buffer - 1);
    runner.buffer.Push({offset, value, size});
  }
  Retire(offset, info, size, before, value);
}

uint64_t Simulation::LockedBegin(const void* place, uint32_t size, uint64_t* offset) {
  *offset = OffsetOf(place);
  if (scheduled_) {
    Point(words_.At(*offset));
    current_->polled |= PolledBit(*offset);
    Drain(*current_);
  }
  return Raw(*offset, size);
}

void Simulation::LockedStore(uint64_t offset, uint32_t size, uint64_t before, uint64_t value) {
  Commit({offset, value, size});
  if (scheduled_) Retire(offset, words_.At(offset), size, before, value);
}

uint64_t Simulation::Exchange(void* place, uint32_t size, uint64_t value) {
  uint64_t offset = 0;
  const uint64_t before = LockedBegin(place, size, &offset);
  LockedStore(offset, size, before, value);
  return before;
}

uint64_t Simulation::FetchAdd(void* place, uint32_t size, uint64_t value) {
  uint64_t offset = 0;
  const uint64_t before = LockedBegin(place, size, &offset);
  LockedStore(offset, size, before, before + value);
  return before;
}

uint64_t Simulation::CompareExchange(void* place, uint32_t size, uint64_t expected, uint64_t desired) {
  uint64_t offset = 0;
  const uint64_t before = LockedBegin(place, size, &offset);
  trace_ = Mixed(trace_, offset ^ before << 20);
  if (before == expected) LockedStore(offset, size, before, desired);
  return before;
}

void Simulation::Fence() {
  if (scheduled_) Drain(*current_);
}

void Simulation::Payload(void* place, uint64_t size) {
  const uint64_t offset = OffsetOf(place);
  if (offset >= memory_.segment().geometry().size) return;  // a private buffer
  dirty_.Mark(offset, size);
  if (!scheduled_) return;
  Point(words_.At(offset));
  Drain(*current_);
  current_->payload = offset;
  current_->payload_size = size;
  Watch(*current_);
}

}  // namespace lightning::faults
