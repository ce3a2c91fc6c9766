#include "faults/check/recovered.h"

#include <memory>

#include "faults/check/guarded.h"
#include "faults/target/segments.h"

namespace lightning::faults {
namespace {

constexpr unsigned kRecoveryPatience = 20;  // seconds; a recovery takes well under a millisecond

}  // namespace

std::vector<std::byte> RecoveredBytes(const Segment& segment, const std::vector<SlotIndex>& alive) {
  auto copy = std::make_unique<MemorySegment>(segment.geometry());
  copy->Load(segment.view());
  copy->world()->dead.assign(copy->world()->dead.size(), true);
  for (const SlotIndex slot : alive) copy->world()->dead[slot] = false;
  bool came_back = false;
  Guarded(kRecoveryPatience, [&]() -> std::string {
    if (Result<Client> client = copy->Attach(); client.ok()) static_cast<void>(client->Recover());
    came_back = true;
    return "";
  });
  std::vector<std::byte> bytes(copy->data(), copy->data() + segment.geometry().size);
  // What an assertion left in the middle must not be touched again.
  if (!came_back) static_cast<void>(copy.release());
  return bytes;
}

}  // namespace lightning::faults
