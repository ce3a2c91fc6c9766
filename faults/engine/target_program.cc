#include <fmt/format.h>

#include "faults/engine/target_engine.h"
#include "faults/model/random.h"

namespace lightning::faults {
namespace {

// Different for each number, of very different lengths: a mixture of two values is neither.
std::string Value(Random& random, uint64_t number) {
  const uint64_t length = random.Percent(50) ? random.Between(1, 16) : random.Between(17, 160);
  std::string value = fmt::format("v{}x", number);
  while (value.size() < length) value += static_cast<char>('a' + random.Below(26));
  return value;
}

}  // namespace

const char* HealerName(Healer healer) { return healer == Healer::kSurvivor ? "survivor" : "newcomer"; }

TargetProgram MakeTargetProgram(uint64_t seed, size_t count) {
  Random random(seed);
  TargetProgram program;
  uint64_t number = 0;
  for (const char* key : {"k1", "k2", "k3"}) program.initial[key] = Value(random, number++);
  Pairs pairs = program.initial;
  program.operations.push_back({TargetOperation::kAttach, "k1", ""});
  for (size_t i = 0; i < count; ++i) {
    TargetOperation operation;
    operation.key = fmt::format("k{}", random.Between(1, 6));
    // Of the first three each kind is there, whatever the seed: a new key, a replaced one, a removed one.
    if (i < 3) operation.key = i == 0 ? "k5" : fmt::format("k{}", random.Between(1, 3));
    const bool removes = i == 2 || (i > 2 && random.Percent(35));
    operation.kind = removes && pairs.contains(operation.key) ? TargetOperation::kRemove : TargetOperation::kPut;
    if (operation.kind == TargetOperation::kPut) operation.value = Value(random, number++);
    operation.ApplyTo(&pairs);
    program.operations.push_back(operation);
  }
  return program;
}

}  // namespace lightning::faults
