#include "faults/plan/expand.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "faults/model/random.h"

namespace lightning::faults {
namespace {

struct ActionWeight {
  Action action;
  uint32_t weight;
};
constexpr std::array<ActionWeight, 20> kActionWeights = {{
    {Action::kPut, 26},    {Action::kReplace, 8},   {Action::kPutBatch, 6},  {Action::kCreate, 9},
    {Action::kSeal, 8},    {Action::kAbort, 3},     {Action::kGet, 12},      {Action::kPin, 6},
    {Action::kUnpin, 5},   {Action::kContains, 2},  {Action::kDelete, 11},   {Action::kList, 2},
    {Action::kEvict, 2},   {Action::kSubscribe, 3}, {Action::kNextEvent, 4}, {Action::kUnsubscribe, 1},
    {Action::kRecover, 4}, {Action::kCheck, 1},     {Action::kDetach, 2},    {Action::kAttach, 2},
}};

// What one client has in hand at some place of its program.
struct Hand {
  bool attached = true, subscribed = false;
  std::set<std::string> created;         // and neither sealed nor aborted
  std::map<std::string, uint32_t> pins;  // handles kept
  std::set<std::string> known;           // keys of which it has seen a version
};

class Expander {
 public:
  Expander(uint64_t seed, const PlanShape& shape) : shape_(shape), random_(MixSeeds(seed, 11)) {
    plan_.seed = seed;
    plan_.engine = shape.engine;
    constexpr std::array<uint32_t, 4> kTastes = {0, 1, 1, 6};
    for (uint32_t& taste : tastes_) taste = shape.swarm ? kTastes[random_.Below(kTastes.size())] : 1;
  }

  Plan Expand() {
    MakeSegment();
    MakeKeys();
    for (uint32_t i = 0; i < shape_.clients; ++i) MakeClient(i);
    MakeSchedule();
    MakeKills();
    for (uint32_t i = 0; i < shape_.stops; ++i)
      plan_.stops.push_back({AnyClient(), AnyMoment(), random_.Percent(30) ? 0 : 1 + random_.Below(2000)});
    for (uint32_t i = 0; i < shape_.killed_recoverers; ++i)
      plan_.recoverers.push_back({fmt::format("r{}", i + 1), true, AnyMoment()});
    if (shape_.killed_recoverers != 0)
      plan_.recoverers.push_back({fmt::format("r{}", shape_.killed_recoverers + 1), false, {}});
    return std::move(plan_);
  }

 private:
  void MakeSegment() {
    PlanSegment& segment = plan_.segment;
    // Everyone, a recoverer after each of those that are killed, and whoever looks at the end.
    segment.max_clients = shape_.clients + shape_.killed_recoverers + 2;
    segment.hash_seed = MixSeeds(plan_.seed, 12) | 1;
    large_ = random_.Percent(25);
    if (large_) segment.heap = 512 * 1024;
    if (!shape_.eviction) return;
    segment.eviction = Eviction::kLru;
    segment.heap = large_ ? 192 * 1024 : 12 * 1024;
    if (random_.Percent(30)) segment.max_objects = std::max(2u, shape_.keys);
  }

  // Short ones, but for one that does not fit into an object's record now and then, and one of any bytes.
  void MakeKeys() {
    for (uint32_t i = 0; i < shape_.keys; ++i) {
      std::string key(1, static_cast<char>('a' + i));
      const uint64_t kind = random_.Below(20);
      if (kind == 0) key += Pattern(72 + random_.Below(300), random_.Next());
      if (kind == 1) key += Pattern(1 + random_.Below(8), random_.Next());
      keys_.push_back(std::move(key));
    }
  }

  const std::string& AnyKey() { return keys_[random_.Below(keys_.size())]; }
  template <typename Keys>
  const auto& AnyOf(const Keys& keys) {
    return *std::next(keys.begin(), static_cast<ptrdiff_t>(random_.Below(keys.size())));
  }
  const std::string& AnyClient() { return plan_.clients[random_.Below(plan_.clients.size())].name; }

  uint64_t AnySize(bool creates) {
    const uint64_t kind = random_.Below(100);
    if (large_ && kind < 12) return creates ? kWholePagesFrom + random_.Below(5000) : 33'000 + random_.Below(8000);
    if (kind < 20) return 0;
    if (kind < 75) return 1 + random_.Below(128);
    return 1 + random_.Below(2000);
  }

  // Sizes alone tell the items of a key apart: patterns of few bytes may be the same for two tags.
  NamedItem AnyItem(const std::string& key, bool creates) {
    Item item;
    item.tag = ++tags_;
    item.size = AnySize(creates);
    if (random_.Percent(30)) item.metadata_size = static_cast<uint32_t>(1 + random_.Below(200));
    while (!shapes_[key].insert({item.size, item.metadata_size}).second) ++item.size;
    item.whole_pages = creates && item.size >= kWholePagesFrom;
    return {key, item};
  }

  PlanOperation Batch() {
    PlanOperation operation{Action::kPutBatch, {}, 0};
    const uint64_t count = 1 + random_.Below(keys_.size());
    const uint64_t first = random_.Below(keys_.size());
    for (uint64_t i = 0; i < count; ++i)
      operation.items.push_back(AnyItem(keys_[(first + i) % keys_.size()], /*creates=*/false));
    return operation;
  }

  bool MakesSense(Action action, const Hand& hand) const {
    if (!hand.attached) return action == Action::kAttach;
    switch (action) {
      case Action::kReplace:
        return !hand.known.empty();
      case Action::kCreate:
        return hand.created.size() < keys_.size();
      case Action::kSeal:
      case Action::kAbort:
        return !hand.created.empty();
      case Action::kUnpin:
        return !hand.pins.empty();
      case Action::kSubscribe:
        return shape_.events && !hand.subscribed;
      case Action::kUnsubscribe:
      case Action::kNextEvent:
        return hand.subscribed;
      case Action::kEvict:
        return shape_.eviction || evicts_too_;
      case Action::kAttach:
        return false;
      default:
        return true;
    }
  }

  Action PickAction(const Hand& hand) {
    const auto weight = [&](size_t i) {
      return MakesSense(kActionWeights[i].action, hand) ? kActionWeights[i].weight * tastes_[i] : 0;
    };
    uint32_t total = 0;
    for (size_t i = 0; i < kActionWeights.size(); ++i) total += weight(i);
    if (total == 0) return hand.attached ? Action::kPut : Action::kAttach;
    uint64_t at = random_.Below(total);
    for (size_t i = 0; i < kActionWeights.size(); ++i) {
      if (at < weight(i)) return kActionWeights[i].action;
      at -= weight(i);
    }
    return Action::kPut;
  }

  PlanOperation Make(Action action, Hand* hand) {
    PlanOperation operation{action, {}, 0};
    std::string key = AnyKey();
    switch (action) {
      case Action::kPut:
        hand->known.insert(key);
        operation.items.push_back(AnyItem(key, false));
        break;
      case Action::kReplace:
        operation.items.push_back(AnyItem(AnyOf(hand->known), false));
        break;
      case Action::kPutBatch:
        operation = Batch();
        for (const NamedItem& item : operation.items) hand->known.insert(item.key);
        break;
      case Action::kCreate:
        while (hand->created.contains(key)) key = AnyKey();
        hand->created.insert(key);
        operation.items.push_back(AnyItem(key, true));
        break;
      case Action::kSeal:
      case Action::kAbort:
        key = AnyOf(hand->created);
        hand->created.erase(key);
        if (action == Action::kSeal) hand->known.insert(key);
        operation.items.push_back({key, {}});
        break;
      case Action::kPin:
        ++hand->pins[key];
        hand->known.insert(key);
        operation.items.push_back({key, {}});
        break;
      case Action::kUnpin:
        key = AnyOf(hand->pins).first;
        if (--hand->pins[key] == 0) hand->pins.erase(key);
        operation.items.push_back({key, {}});
        break;
      case Action::kGet:
        hand->known.insert(key);
        [[fallthrough]];
      case Action::kContains:
      case Action::kDelete:
        operation.items.push_back({key, {}});
        break;
      case Action::kList:
        operation.items.push_back({random_.Percent(50) ? "" : key.substr(0, 1), {}});
        break;
      case Action::kEvict:
        operation.amount = 1 + random_.Below(3000);
        break;
      case Action::kSubscribe:
      case Action::kUnsubscribe:
        hand->subscribed = action == Action::kSubscribe;
        break;
      case Action::kAttach:
      case Action::kDetach:
        *hand = {};
        hand->attached = action == Action::kAttach;
        break;
      case Action::kNextEvent:
      case Action::kRecover:
      case Action::kCheck:
        break;
    }
    return operation;
  }

  void MakeClient(uint32_t index) {
    PlanClient client;
    client.name = std::string(1, static_cast<char>('a' + index));
    Hand hand;
    // The first client puts what the others find; each may hold something already.
    if (index == 0) {
      for (const std::string& key : keys_) {
        if (!random_.Percent(60)) continue;
        client.before.push_back({Action::kPut, {AnyItem(key, false)}, 0});
        hand.known.insert(key);
      }
    }
    if (shape_.events && random_.Percent(index == 0 ? 100 : 30))
      client.before.push_back(Make(Action::kSubscribe, &hand));
    if (random_.Percent(30)) client.before.push_back(Make(Action::kPin, &hand));
    if (random_.Percent(15)) client.before.push_back(Make(Action::kCreate, &hand));
    const uint64_t count = std::max<uint64_t>(1, shape_.operations + random_.Below(3) - 1);
    for (uint64_t i = 0; i < count; ++i) {
      evicts_too_ = random_.Percent(20);
      client.operations.push_back(Make(PickAction(hand), &hand));
    }
    plan_.clients.push_back(std::move(client));
  }

  // Different clients while there are some; a second kill of one client comes to nothing unless it is the earlier.
  void MakeKills() {
    const uint64_t first = random_.Below(plan_.clients.size());
    for (uint32_t i = 0; i < shape_.kills; ++i)
      plan_.kills.push_back({plan_.clients[(first + i) % plan_.clients.size()].name, AnyMoment()});
  }

  void MakeSchedule() {
    if (shape_.engine == Engine::kStep || shape_.engine == Engine::kReal) return;
    Schedule& schedule = plan_.schedule;
    if (random_.Percent(60)) {
      schedule.strategy = Schedule::kPct;
      schedule.bound = static_cast<uint32_t>(1 + random_.Below(4));
    } else {
      schedule.strategy = Schedule::kRandom;
      schedule.percent = static_cast<uint32_t>(2 + random_.Below(30));
    }
    if (random_.Percent(15)) schedule.memory = Memory::kSc;
  }

  Moment AnyMoment() {
    Moment at;
    const uint64_t stores = 60 * uint64_t{shape_.operations};
    if (shape_.engine == Engine::kStep && random_.Percent(50)) {
      at.unit = Moment::kInstruction;
      at.number = 1 + random_.Below(20 * stores);
    } else if (shape_.engine != Engine::kStep && random_.Percent(30)) {
      // At a rule's own word: few of those in one operation.
      constexpr std::array kUnits = {Moment::kLogEntry, Moment::kLogCount, Moment::kCommit, Moment::kLock,
                                     Moment::kUnlock,   Moment::kPin,      Moment::kUnpin};
      at.unit = kUnits[random_.Below(kUnits.size())];
      at.number = 1 + random_.Below(3 * uint64_t{shape_.operations});
    } else if (shape_.engine != Engine::kStep && random_.Percent(30)) {
      at.unit = Moment::kPoint;
      at.number = 1 + random_.Below(4 * stores);
    } else {
      at.number = 1 + random_.Below(stores);
    }
    return at;
  }

  const PlanShape shape_;
  Random random_;
  std::array<uint32_t, kActionWeights.size()> tastes_{};
  Plan plan_;
  std::vector<std::string> keys_;
  std::map<std::string, std::set<std::pair<uint64_t, uint32_t>>> shapes_;
  uint64_t tags_ = 0;
  bool large_ = false;
  bool evicts_too_ = false;
};

}  // namespace

Plan ExpandPlan(uint64_t seed, const PlanShape& shape) { return Expander(seed, shape).Expand(); }

}  // namespace lightning::faults
