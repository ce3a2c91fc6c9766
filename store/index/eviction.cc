#include "store/index/eviction.h"

#include <algorithm>
#include <span>

#include "store/index/object.h"
#include "store/log/words.h"

namespace lightning {
namespace {

// When the objects after `hand`, as many as `look`, were used last, as far as anybody remembers; zero: nobody.
std::vector<uint64_t> LastUses(const Segment& segment, uint64_t used, uint64_t hand, uint64_t look) {
  std::vector<uint64_t> uses(look);
  for (SlotIndex slot = 0; slot < segment.slots_used(); ++slot) {
    if (SlotState::Decode(segment.slot(slot).state.Load()).life == SlotLife::kFree) continue;
    const auto& noted = segment.client_page(slot).recency;
    for (const Recency& recency : std::span(noted, std::min<uint64_t>(used, kRecencySlots))) {
      const uint32_t id = recency.object.load(std::memory_order_relaxed);
      if (id == 0 || id > used) continue;
      const uint64_t place = (id - 1 + used - hand) % used;
      if (place < look) uses[place] = std::max(uses[place], recency.tick.load(std::memory_order_relaxed));
    }
  }
  return uses;
}

}  // namespace

std::vector<Candidate> EvictionCandidates(const Segment& segment, const PinnedObjects& pinned, uint64_t hand,
                                          uint64_t* next_hand) {
  const uint64_t used = std::min<uint64_t>(segment.central().object_unused.Load(), segment.geometry().objects);
  std::vector<Candidate> candidates;
  *next_hand = 0;
  if (used == 0) return candidates;
  const uint64_t look = std::min<uint64_t>(used, kEvictionWindow);
  hand %= used;
  const std::vector<uint64_t> uses = LastUses(segment, used, hand, look);
  for (uint64_t i = 0; i < look; ++i) {
    const ObjectId id{static_cast<uint32_t>((hand + i) % used + 1)};
    const Object& object = segment.object(id);
    const ObjectFields fields = ObjectFields::Read(object);
    if (fields.head.state != ObjectState::kSealed || pinned.Contains(id)) continue;
    candidates.push_back({id, std::max(object.tick.Load(), uses[i]), fields.granules() * kGranule});
  }
  *next_hand = used <= kEvictionWindow ? 0 : (hand + look) % used;
  std::sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
    return a.tick != b.tick ? a.tick < b.tick : a.id.value < b.id.value;
  });
  return candidates;
}

}  // namespace lightning
