// What a lock word and a slot's state word say.
#pragma once

#include <cstdint>

#include "store/segment/layout.h"

namespace lightning {

// Lock word: bits 0..31 count its releases, so that a reader can tell that nothing happened between two looks;
// bits 32..47 owner's slot plus one, 48..63 the owner's generation; zero when free (rule 5).
struct LockValue {
  static constexpr uint64_t Owner(SlotIndex slot, uint32_t generation) {
    return uint64_t{generation & 0xFFFF} << 48 | uint64_t{slot + 1} << 32;
  }
  static constexpr bool IsHeld(uint64_t word) { return High(word) != 0; }
  static constexpr SlotIndex OwnerSlot(uint64_t word) { return (High(word) & 0xFFFF) - 1; }
  static constexpr bool IsHeldBy(uint64_t word, uint64_t owner) { return High(word) == High(owner); }
  static constexpr uint64_t Freed(uint64_t word) { return uint64_t{Low(word) + 1}; }
  static constexpr uint64_t Taken(uint64_t word, uint64_t owner) { return owner | Low(word); }
};

// The life of a slot:
//
//   free -> attaching -> active -> (detach) -> free
//                          | dead
//                          v
//                      recovering by R  <->  rolled back     -> free
//
// `recovering` names the recoverer in the victim's own word: owner and victim in one atomic word (rule 5). A dead
// recoverer's claim is taken over by the next. `rolled back`: no log, no locks; the caches are still to be given back.
enum class SlotLife : uint8_t { kFree = 0, kAttaching = 1, kActive = 2, kRecovering = 3, kRolledBack = 4 };

struct SlotState {
  SlotLife life = SlotLife::kFree;
  uint32_t generation = 0;  // 16 bits; one more at each attach
  SlotIndex recoverer = 0;  // while recovering
  uint32_t recoverer_generation = 0;

  constexpr uint64_t Encode() const {
    return uint64_t{static_cast<uint8_t>(life)} | uint64_t{generation & 0xFFFF} << 8 | uint64_t{recoverer} << 24 |
           uint64_t{recoverer_generation & 0xFFFF} << 40;
  }
  static constexpr SlotState Decode(uint64_t word) {
    return {static_cast<SlotLife>(word & 0xFF), static_cast<uint32_t>(word >> 8 & 0xFFFF),
            static_cast<SlotIndex>(word >> 24 & 0xFFFF), static_cast<uint32_t>(word >> 40 & 0xFFFF)};
  }
};

}  // namespace lightning
