#include "store/client/check.h"

#include <cstdarg>
#include <cstdio>
#include <string>
#include <vector>

#include "store/client/core.h"
#include "store/client/invariants.h"
#include "store/log/words.h"

namespace lightning {
namespace {

// What moves when anything moves. Equal before and after: the look in between saw one state.
void TakeFingerprint(const Segment& segment, std::vector<uint64_t>* words) {
  words->clear();
  words->reserve(2 * size_t{segment.slots_used()});
  for (SlotIndex i = 0; i < segment.slots_used(); ++i) {
    const Slot& slot = segment.slot(i);
    words->push_back(slot.state.Load());
    words->push_back(slot.activity.Load());
  }
}

enum class Motion { kNone, kLiving, kDead };

// Whether some client is inside an operation, and if none that lives, whether one died in it.
Motion Look(const Segment& segment, const LivenessProbe& alive, std::vector<std::string>* violations) {
  Motion motion = Motion::kNone;
  for (SlotIndex i = 0; i < segment.slots_used(); ++i) {
    const Slot& slot = segment.slot(i);
    const SlotState state = SlotState::Decode(slot.state.Load());
    const bool inside = slot.log_count.Load() != 0 || slot.held_count.Load() != 0 || (slot.activity.Load() & 1) != 0;
    const bool between = state.life == SlotLife::kAttaching || state.life == SlotLife::kRecovering;
    if (state.life == SlotLife::kFree || (!inside && !between)) continue;
    if (alive == nullptr || alive(i)) return Motion::kLiving;
    char text[200];
    snprintf(text, sizeof text, "client slot %u (pid %llu) died inside an operation: run `lightning-store recover`", i,
             static_cast<unsigned long long>(slot.pid.Load()));
    violations->push_back(text);
    motion = Motion::kDead;
  }
  return motion;
}

}  // namespace

CheckReport CheckSegment(const Segment& segment, const LivenessProbe& alive, const LookPause& pause) {
  constexpr int kAttempts = 50;
  CheckReport report;
  std::vector<uint64_t> before, after;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    if (attempt != 0 && pause) pause(Nanoseconds(attempt < 10 ? 200'000 : 5'000'000));
    report.violations.clear();
    TakeFingerprint(segment, &before);
    const Motion motion = Look(segment, alive, &report.violations);
    if (motion == Motion::kDead) return report;
    if (motion == Motion::kLiving) continue;
    InvariantChecker(segment, &report.violations).Run();
    TakeFingerprint(segment, &after);
    if (after != before) continue;
    report.ok = report.violations.empty();
    return report;
  }
  report.violations.clear();
  report.busy = true;
  return report;
}

bool MayBeAlive(const Segment& segment, SlotIndex index, Kernel& kernel) {
  const Slot& slot = segment.slot(index);
  const uint64_t word = slot.state.Load();
  const ClientIdentity identity{slot.pid.Load(), slot.start_time.Load(), slot.namespaces.Load(), slot.boot.Load()};
  const bool known = SlotState::Decode(word).life != SlotLife::kAttaching;
  if (kernel.IsAlive(index, known ? &identity : nullptr)) return true;
  // A slot that has changed hands meanwhile: the identity may be the last client's, or half of each.
  return slot.state.Load() != word;
}

CheckReport ClientCore::Check() {
  CheckReport report;
  const Status usable = UsableWithoutTurn();
  if (!usable.ok()) {
    report.violations.push_back(usable.ToString());
    return report;
  }
  return CheckSegment(
      env_.segment, [this](SlotIndex i) { return i == env_.self || MayBeAlive(env_.segment, i, *kernel_); },
      [this](Nanoseconds pause) { kernel_->Pause(pause); });
}

}  // namespace lightning
