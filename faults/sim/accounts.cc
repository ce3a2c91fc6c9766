#include "faults/sim/accounts.h"

#include <fmt/format.h>

#include "store/client/check.h"
#include "store/index/object.h"
#include "store/log/words.h"

namespace lightning::faults {

std::string JudgeAccounts(const Segment& segment) {
  const CheckReport check = CheckSegment(segment, [](SlotIndex) { return false; });
  if (!check.ok) return "Check: " + (check.violations.empty() ? std::string("busy") : check.violations[0]);
  const Geometry& g = segment.geometry();
  uint64_t objects = 0, used = 0;
  for (uint32_t id = 1; id <= g.objects; ++id) {
    const ObjectFields object = ObjectFields::Read(segment.object(ObjectId{id}));
    if (object.head.state == ObjectState::kFree) continue;
    if (object.head.state != ObjectState::kSealed) return fmt::format("object {} is neither sealed nor free", id);
    ++objects;
    used += object.granules();
  }
  const Central& central = segment.central();
  if (central.credits.Load() + objects != g.max_objects)
    return fmt::format("{} objects and {} rights to add one make not {}", objects, central.credits.Load(),
                       g.max_objects);
  if (central.free_granules.Load() + used != g.heap_granules)
    return fmt::format("{} bytes are used and {} free, of {}", used * kGranule, central.free_granules.Load() * kGranule,
                       g.heap_granules * kGranule);
  if (central.object_free_count.Load() + objects != g.objects)
    return fmt::format("{} objects and {} free ids make not {}", objects, central.object_free_count.Load(), g.objects);
  if (central.subscribers.Load() != 0) return "the store counts subscribers, and there is nobody";
  for (SlotIndex slot = 0; slot < g.max_clients; ++slot) {
    if (SlotState::Decode(segment.slot(slot).state.Load()).life != SlotLife::kFree)
      return fmt::format("client slot {} is not free", slot);
  }
  return "";
}

}  // namespace lightning::faults
