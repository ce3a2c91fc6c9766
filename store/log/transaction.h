// A change to the control region that happens whole or not at all.
//
// A Transaction object acts for one client slot: its own client's, or that of a dead one that the client recovers. It
// collects locks and logged writes; Commit makes what was written since the last Commit final (rule 3: the log's count
// becomes zero, one store), and only then may locks be released. Whatever is not committed when the object goes away,
// or when its process dies, is undone.
//
// Order of locks, which excludes deadlock: the acting slot's own lock, home buckets by rising address, the central
// lock, the event lock. A further slot's lock is only ever tried, never waited for, while others are held.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <utility>

#include "store/gate/gate.h"
#include "store/log/environment.h"
#include "store/log/words.h"

namespace lightning {

// How long somebody has waited for one lock, and what to do next.
class LockWait {
 public:
  // A few turns of the processor first; true while those last.
  bool Spin() {
    if (spins_ >= kSpins) return false;
    ++spins_;
    __builtin_ia32_pause();
    return true;
  }
  // Gives way to others, for longer each time. kTimeout after `limit` since the first call. No window may be open.
  Status Yield(Kernel& kernel, Nanoseconds limit);

 private:
  int spins_ = 0;
  Nanoseconds pause_{0};
  Nanoseconds deadline_{-1};
};

class Transaction {
 public:
  // Acts for slot `acting`: the client's own, or one that it has claimed for recovery.
  Transaction(Environment& environment, Window& window, SlotIndex acting);
  ~Transaction();  // undoes what is not committed, releases every lock
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  // Waits for the lock. A dead owner is rolled back on the way (rule 12); for a living one that does not move, kTimeout
  // after the client's lock_timeout. Already held: kOk at once.
  Status Lock(const LockWord& lock);
  // kTimeout at once when somebody else has it; a dead owner is rolled back first.
  Status TryLock(const LockWord& lock);
  bool Holds(const LockWord& lock) const;
  uint32_t locks() const { return held_; }

  // The logged write (rules 1 and 2). REQUIRES: a held lock covers the cell.
  void Set(const Cell& cell, uint64_t value) {
    LIGHTNING_ASSERT(count_ < kLogCapacity);
    const LogEntry& entry = slot_.log[count_++];
    if (window_.touches()) [[unlikely]] {
      window_.Touch(entry.offset);
      window_.Touch(slot_.log_count);
      window_.Touch(cell);
    }
    // Each a release store, so that no compiler changes their order; the processor does not (rule 2).
    window_.StoreTouched(entry.offset, segment().OffsetOf(&cell));
    window_.StoreTouched(entry.old, cell.Load());
    window_.StoreTouched(slot_.log_count, count_);
    window_.StoreTouched(cell, value);
  }
  void Add(const Cell& cell, uint64_t delta) { Set(cell, cell.Load() + delta); }

  // Several logged writes, to different cells: every entry, then the count that covers them, then the writes. Cheaper
  // than one by one, and no less safe.
  struct Write {
    Write() = default;
    Write(const Cell& to, uint64_t what) : cell(&to), value(what) {}
    const Cell* cell = nullptr;
    uint64_t value = 0;
  };
  void Set(std::span<const Write> writes);
  void Set(std::initializer_list<Write> writes) { Set(std::span(writes.begin(), writes.size())); }

  // The commit point, then releases the locks taken after the first `keep`.
  void Commit(uint32_t keep_locks);
  // Undoes everything since the last Commit, then releases the locks taken after the first `keep`.
  void Rollback(uint32_t keep_locks);

  const Segment& segment() const { return environment_.segment; }
  Environment& environment() { return environment_; }
  Window& window() { return window_; }
  const Slot& slot() const { return slot_; }
  SlotIndex acting() const { return acting_; }

 private:
  Status LockSlowly(const LockWord& lock);
  void ReleaseDownTo(uint32_t keep);

  Environment& environment_;
  Window& window_;
  const SlotIndex acting_;
  const Slot& slot_;
  const uint64_t owner_;  // as a lock word's upper half
  uint32_t count_ = 0;    // of log entries
  uint32_t held_ = 0;
};

// Logged writes that become one Set: at most N, to different cells. REQUIRES: Write() comes after the last Add().
template <size_t N>
class Writes {
 public:
  explicit Writes(Transaction& transaction) : t_(transaction) {}
  void Add(const Cell& cell, uint64_t value) {
    LIGHTNING_ASSERT(count_ < N);
    writes_[count_++] = {cell, value};
  }
  void Write() { t_.Set(std::span(writes_, std::exchange(count_, size_t{0}))); }

 private:
  Transaction& t_;
  Transaction::Write writes_[N];
  size_t count_ = 0;
};

}  // namespace lightning
