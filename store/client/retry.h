// What every operation that writes does around its attempts: makes room, heals dead creators, cleans up afterwards.
#pragma once

#include "store/client/core.h"
#include "store/log/words.h"

namespace lightning {

template <typename Outcome, typename Attempt>
Outcome ClientCore::Retry(uint64_t granules, Attempt attempt) {
  for (int round = 0;; ++round) {
    SlotIndex creator = kAttacher;
    Outcome result = attempt(&creator);
    if (!env_.to_clean.empty()) CleanPending();
    if (result.ok()) return result;
    Result<bool> mended = false;
    if (result.code() == Code::kSegmentFull || result.code() == Code::kTooManyObjects) {
      mended = MakeRoom(result.code(), granules, round);
    } else if (result.code() == Code::kBeingCreated && creator < env_.segment.geometry().max_clients) {
      mended = RecoverSlot(creator);
      // Or it was dead and has just been cleaned up, by this client's attempt or by somebody else: it is in nobody's
      // way.
      if (mended.ok() && !*mended)
        mended = SlotState::Decode(env_.segment.slot(creator).state.Load()).life == SlotLife::kFree;
    }
    if (!mended.ok()) return mended.status();
    if (!*mended) return result;
  }
}

}  // namespace lightning
