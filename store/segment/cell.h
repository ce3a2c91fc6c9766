// The words of the control region, by the rule under which each may change. Every one can be loaded by anyone; none has
// a public store. Who may store is named here, so that "every change goes through the log" is a fact of the types.
//
//   Cell      changed only by a Transaction: logged, under the lock that covers it (rule 1)
//   OwnWord   changed only by whoever acts for the client slot that it belongs to; not logged (log count, held locks)
//   LockWord  changed by compare-and-swap from free to held, and by a store from held to free (rule 5)
//   StateWord the life of a client slot, changed by compare-and-swap alone (rules 5 to 7)
//
// x86 keeps stores in order, and a killed process loses none that retired; so release stores, which are plain ones
// there, are all that rule 2 needs.
#pragma once

#include <cstdint>
#include <type_traits>

#include "store/segment/atomic.h"

namespace lightning {

class Window;

namespace internal {

// What the four kinds share. Lock-free and address-free, so it may be mapped anywhere, by any process.
class Word {
 public:
  uint64_t Load() const { return value_.load(std::memory_order_acquire); }

 protected:
  friend class lightning::Window;
  Atomic<uint64_t> value_;
};

}  // namespace internal

class Cell : public internal::Word {};
class OwnWord : public internal::Word {};
class LockWord : public internal::Word {};
class StateWord : public internal::Word {};

static_assert(sizeof(Cell) == 8 && std::is_standard_layout_v<Cell>);

// Two 32-bit halves of one word: what must change together or is not worth a word of its own.
constexpr uint64_t Pack(uint32_t high, uint32_t low) { return uint64_t{high} << 32 | low; }
constexpr uint32_t High(uint64_t word) { return static_cast<uint32_t>(word >> 32); }
constexpr uint32_t Low(uint64_t word) { return static_cast<uint32_t>(word); }

}  // namespace lightning
