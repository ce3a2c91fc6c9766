#include "faults/sim/sim_evidence.h"

#include <fmt/format.h>

#include "faults/check/recovered.h"
#include "faults/check/word_names.h"

namespace lightning::faults {
namespace {

constexpr size_t kRecent = 256;  // accesses of any kind at the end; before those, stores alone

std::string Line(const SimAccess& access, const Plan& plan, const Segment& segment) {
  const std::string client = access.client < plan.clients.size() ? plan.clients[access.client].name : "a recoverer";
  const uint64_t word = access.offset & ~uint64_t{7};
  std::string text = fmt::format("{}  {}  {} {}: ", access.point, client, access.store ? "stores to" : "loads",
                                 WordName(segment, access.offset));
  // Half words (pins, doorbells) have no meaning of their own.
  const auto meaning = [&](uint64_t value) {
    return word == access.offset ? WordMeaning(segment, access.offset, value) : fmt::format("{:#x}", value);
  };
  text += access.store ? fmt::format("{} -> {}", meaning(access.before), meaning(access.value)) : meaning(access.value);
  return text + "\n";
}

}  // namespace

void SimEvidence::Take(const Plan& plan, const Segment& segment) {
  if (!before.empty()) return;
  before.assign(segment.view(), segment.view() + segment.geometry().size);
  after = RecoveredBytes(segment, {});
  trace = fmt::format(
      "# Every store to a shared word, and the last {} accesses of any kind, in their order.\n"
      "# point of the schedule  client  access\n",
      kRecent);
  bool gap = false;
  for (size_t i = 0; i < accesses.size(); ++i) {
    const bool shown = accesses[i].store || i + kRecent >= accesses.size();
    if (shown && gap) trace += "...\n";
    if (shown) trace += Line(accesses[i], plan, segment);
    gap = !shown;
  }
}

}  // namespace lightning::faults
