#include "faults/engine/clients_inside.h"

#include <fmt/format.h>

#include <fstream>

#include "faults/check/word_names.h"
#include "faults/report/source_line.h"
#include "store/log/words.h"

namespace lightning::faults {

std::string StacksOf(pid_t process) {
  std::string text = StackOf(process);
  std::ifstream children(fmt::format("/proc/{0}/task/{0}/children", process));
  for (pid_t child = 0; children >> child;) text += fmt::format("; its child {}", StackOf(child));
  return text;
}

std::string ClientsInside(const Segment& segment) {
  std::string text;
  for (SlotIndex i = 0; i < segment.slots_used(); ++i) {
    const Slot& slot = segment.slot(i);
    const uint64_t state = slot.state.Load();
    const SlotLife life = SlotState::Decode(state).life;
    const bool inside = slot.log_count.Load() != 0 || slot.held_count.Load() != 0 || (slot.activity.Load() & 1) != 0;
    const bool between = life == SlotLife::kAttaching || life == SlotLife::kRecovering;
    if (life == SlotLife::kFree || (!inside && !between)) continue;
    const auto pid = static_cast<pid_t>(slot.pid.Load());
    text +=
        fmt::format("{}slot {} ({}; log count {}, locks held {}, activity {}), pid {} at {}", text.empty() ? "" : "; ",
                    i, WordMeaning(segment, segment.OffsetOf(&slot.state), state), slot.log_count.Load(),
                    slot.held_count.Load(), slot.activity.Load(), pid, pid > 0 ? StacksOf(pid) : "?");
  }
  return text.empty() ? "nobody is inside an operation" : text;
}

}  // namespace lightning::faults
