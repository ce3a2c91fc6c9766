#include "bench/workload.h"

#include <cinttypes>
#include <cstdio>

#include "bench/zipf.h"

namespace lightning::bench {
namespace {

double WriteShare(Workload workload) {
  switch (workload) {
    case Workload::kB:
    case Workload::kD:
      return 0.05;
    case Workload::kC:
      return 0;
    default:
      return 0.5;
  }
}

}  // namespace

KeyTable::KeyTable(uint32_t count) : keys_(count) {
  for (uint32_t i = 0; i < count; ++i) {
    std::snprintf(keys_[i].data(), keys_[i].size(), "user%019" PRIu64, Fnv64(i));
  }
}

const char* WorkloadLetter(Workload workload) {
  constexpr const char* kLetters[] = {"a", "b", "c", "d", "f", "disjoint"};
  return kLetters[static_cast<uint32_t>(workload)];
}

std::vector<Op> MakeSequence(Workload workload, uint32_t proc, uint32_t procs, uint64_t seed) {
  Random random(Fnv64(seed * 64 + proc));
  const double write_share = WriteShare(workload);
  std::vector<Op> sequence(kSequenceSize);
  if (workload == Workload::kD) {
    // The very oldest keys are left out: another process may be deleting them.
    const Zipfian latest(LiveSize(procs) - LiveSize(procs) / 16);
    for (Op& op : sequence) {
      op.key = static_cast<uint32_t>(latest.Next(&random)) & 0xFF'FFFF;
      op.owner = random.Below(procs) & 0x3F;
      op.write = random.NextUnit() < write_share ? 1 : 0;
    }
    return sequence;
  }
  const bool disjoint = workload == Workload::kDisjoint;
  const uint32_t span = disjoint ? kKeys / procs : kKeys;
  const ScrambledZipfian chooser(span);
  for (Op& op : sequence) {
    op.key = ((disjoint ? proc * span : 0) + chooser.Next(&random)) & 0xFF'FFFF;
    op.owner = 0;
    op.write = random.NextUnit() < write_share ? 1 : 0;
  }
  return sequence;
}

}  // namespace lightning::bench
