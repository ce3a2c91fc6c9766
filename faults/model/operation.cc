#include "faults/model/operation.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "faults/model/content.h"

namespace lightning::faults {
namespace {

struct OpWeight {
  Op op;
  uint32_t weight;
};
// Of 1,000.
constexpr std::array<OpWeight, kOps> kOpWeights = {{
    {Op::kPut, 235},     {Op::kReplace, 60},  {Op::kPutBatch, 25},   {Op::kCreate, 50},    {Op::kSeal, 40},
    {Op::kAbort, 12},    {Op::kGet, 190},     {Op::kGetBatch, 15},   {Op::kGetWaiting, 5}, {Op::kRelease, 150},
    {Op::kContains, 30}, {Op::kDelete, 100},  {Op::kList, 10},       {Op::kEvict, 6},      {Op::kStats, 25},
    {Op::kRecover, 8},   {Op::kSubscribe, 3}, {Op::kUnsubscribe, 2}, {Op::kNextEvent, 20}, {Op::kAttach, 3},
    {Op::kClose, 2},     {Op::kDie, 1},       {Op::kInvalid, 7},     {Op::kCheck, 1},
}};

constexpr uint32_t TotalWeight() {
  uint32_t total = 0;
  for (const OpWeight& weight : kOpWeights) total += weight.weight;
  return total;
}
static_assert(TotalWeight() == 1000);

Op PickOp(Random& random) {
  uint64_t at = random.Below(TotalWeight());
  for (const OpWeight& weight : kOpWeights) {
    if (at < weight.weight) return weight.op;
    at -= weight.weight;
  }
  return Op::kPut;
}

uint64_t PickSize(Random& random, uint64_t largest) {
  const uint64_t kind = random.Below(100);
  if (kind < 5) return 0;
  if (kind < 60) return 1 + random.Below(std::min<uint64_t>(largest, 200));
  if (kind < 97) return 1 + random.Below(std::min<uint64_t>(largest, 4096));
  return 1 + random.Below(largest);
}

}  // namespace

const char* OpName(Op op) {
  constexpr std::array<const char*, kOps> kNames = {
      "put",         "replace",     "put-batch",  "create", "seal",  "abort", "get",     "get-batch",
      "get-waiting", "release",     "contains",   "delete", "list",  "evict", "stats",   "recover",
      "subscribe",   "unsubscribe", "next-event", "attach", "close", "die",   "invalid", "check"};
  return kNames[static_cast<size_t>(op)];
}

std::string Show(const Operation& operation, const std::vector<std::string>& keys) {
  std::string text = fmt::format("client {}: {}", operation.client, OpName(operation.op));
  for (const uint32_t key : operation.keys) text.append(1, ' ').append(ShowKey(keys[key]));
  if (operation.size != 0 || operation.metadata_size != 0)
    text += fmt::format(" of {} + {} bytes", operation.size, operation.metadata_size);
  return text;
}

std::vector<std::string> MakeKeys(Random& random, uint32_t count) {
  std::vector<std::string> keys;
  while (keys.size() < count) {
    std::string key;
    switch (random.Below(8)) {
      case 0:
        key = Pattern(1 + random.Below(16), random.Next());
        break;
      case 1:
        key = Pattern(64 + random.Below(20), random.Next());  // about where keys become long
        break;
      case 2:
        key = Pattern(1 + random.Below(1024), random.Next());
        break;
      default:
        key = fmt::format("{}/{}", random.Percent(50) ? "left" : "right", random.Below(1000));
    }
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) keys.push_back(std::move(key));
  }
  return keys;
}

std::vector<Operation> MakeSequence(Random& random, const SequenceShape& shape, uint32_t keys, uint64_t count) {
  std::vector<Operation> sequence(count);
  for (Operation& operation : sequence) {
    operation.op = PickOp(random);
    if (!shape.events && operation.op == Op::kSubscribe) operation.op = Op::kGet;
    operation.client = static_cast<uint32_t>(random.Below(shape.clients));
    const bool several = operation.op == Op::kPutBatch || operation.op == Op::kGetBatch;
    const uint64_t wanted = several ? 1 + random.Below(6) : 1;
    while (operation.keys.size() < wanted) {
      const auto key = static_cast<uint32_t>(random.Below(keys));
      if (std::find(operation.keys.begin(), operation.keys.end(), key) == operation.keys.end())
        operation.keys.push_back(key);
    }
    operation.size = PickSize(random, shape.largest_value);
    if (random.Percent(20)) operation.metadata_size = static_cast<uint32_t>(random.Below(300));
    operation.tag = random.Next();
    operation.choice = random.Next();
  }
  return sequence;
}

}  // namespace lightning::faults
