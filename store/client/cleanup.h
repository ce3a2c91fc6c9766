// The second half of recovery, and of detaching: what a client kept at hand or left unfinished goes back.
#pragma once

#include "store/index/pins.h"
#include "store/log/transaction.h"

namespace lightning {

// Aborts what the client in `slot` had created and not sealed (rule 10), drops its pins, gives back the objects that it
// retired, its cached ids, blocks and credits, and its subscriptions; counts a recovery when it died. Acts for that
// slot, with its log and its locks, so that a recoverer's own death needs no other treatment than the client's (rule
// 6). REQUIRES: the slot is the caller's own, or claimed by it, and rolled back. On failure the rest stays for the
// next.
Status CleanUp(Environment& environment, Window& window, SlotIndex slot, bool died, PinnedObjects* scratch);

// Takes an object off its creator's list of unsealed ones. Entries: 3.
void UnlistUnsealed(Transaction& t, const Slot& slot, ObjectId id);
// Puts it on. Entries: 3.
void ListUnsealed(Transaction& t, const Slot& slot, ObjectId id);

}  // namespace lightning
