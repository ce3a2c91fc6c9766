// The first half of recovery: a dead client's transaction is undone and its locks are released. Needs no lock itself,
// so that it may happen in the middle of any other operation. The second half, giving back what the client kept at
// hand, is client/cleanup.h.
//
// Any recoverer may die at any instruction: undoing writes the same old values again, in the same order, until the
// log's count becomes zero; releasing skips locks that name somebody else; and the claim in the victim's state word is
// taken over once its holder is dead (rule 6).
#pragma once

#include "store/gate/gate.h"
#include "store/log/environment.h"
#include "store/log/words.h"

namespace lightning {

class Recovery {
 public:
  Recovery(Environment& environment, Window& window) : environment_(environment), window_(window) {}

  // If the client in `slot` is dead: claims it, undoes its log, releases its locks, and leaves it `rolled back`, noted
  // in environment.to_clean. True when the slot holds nothing (any more); false when its client, or a recoverer of it,
  // is alive. kCorrupt when its log is no log: nothing is changed then.
  Result<bool> RollBack(SlotIndex slot);

  // The same, but keeps the claim: the caller acts for the slot until it calls Free or Unclaim. True when claimed.
  Result<bool> Claim(SlotIndex slot);
  void Unclaim(SlotIndex slot);  // to `rolled back`
  void Free(SlotIndex slot);     // to `free`

  // Whether the client that has the slot in this state is alive. Closes the window meanwhile.
  bool IsAlive(SlotIndex slot, const SlotState& state);

 private:
  bool TakeClaim(SlotIndex slot, SlotState* before);
  Status Undo(const Slot& slot);
  void ReleaseLocks(SlotIndex index, const Slot& slot);
  void SetLife(SlotIndex slot, SlotLife life);

  Environment& environment_;
  Window& window_;
};

}  // namespace lightning
