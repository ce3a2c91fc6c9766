#include "faults/plan/step_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "faults/model/random.h"
#include "faults/target/segments.h"
#include "store/index/object.h"

namespace lightning::faults {
namespace {

constexpr std::array<std::string_view, 22> kStepNames = {
    "put-insert",   "put-replace",  "put-large", "put-long-key",    "put-overflow", "put-drain",
    "put-evict",    "put-event",    "put-heals", "replace-version", "put-batch",    "create-seal",
    "create-large", "create-abort", "delete",    "delete-overflow", "evict",        "subscribe",
    "unsubscribe",  "attach",       "detach",    "recover",
};

class Maker {
 public:
  Maker(std::string_view name, uint64_t seed) : random_(MixSeeds(seed, 1)) {
    plan_.name = name;
    plan_.seed = seed;
    plan_.options.max_objects = 16;
    plan_.options.max_clients = 4;
    plan_.options.max_pins = 16;
    plan_.options.event_slots = 4;
    plan_.options.hash_seed = MixSeeds(seed, 2) | 1;
    heap_ = 64 * 1024;
  }

  StepPlan Make() {
    const std::string& name = plan_.name;
    if (name == "put-large") heap_ = 160 * 1024;
    if (name == "create-large") heap_ = 256 * 1024;
    if (name == "put-evict") plan_.options.eviction = Eviction::kLru;
    SetSize();
    if (!name.ends_with("heals") && name != "recover") Populate();
    if (name.starts_with("put")) {
      MakePut();
    } else if (name.starts_with("create")) {
      MakeCreate();
    } else if (name.starts_with("delete")) {
      MakeDelete();
    } else {
      MakeOther();
    }
    return std::move(plan_);
  }

 private:
  // The least that the tables need, and the heap.
  void SetSize() {
    uint64_t size = 64 * kPageSize;
    plan_.heap = heap_;
    for (;; size += kPageSize) {
      plan_.options.size = size;
      const Result<Geometry> geometry = Geometry::Compute(plan_.options);
      if (geometry.ok() && uint64_t{geometry->heap_granules} * kGranule >= heap_) break;
    }
  }

  Item RandomItem(uint64_t largest) {
    Item item;
    item.tag = random_.Next();
    item.size = random_.Percent(10) ? 0 : 1 + random_.Below(random_.Percent(50) ? 128 : largest);
    if (random_.Percent(30)) item.metadata_size = static_cast<uint32_t>(1 + random_.Below(200));
    return item;
  }

  void Apply(const SetupStep& step) {
    if (step.kind == SetupStep::kPut) now_[step.object.key] = step.object.item;
    if (step.kind == SetupStep::kDelete) now_.erase(step.object.key);
  }
  void Victim(SetupStep::Kind kind, std::string key, Item item = {}) {
    plan_.victim.push_back({kind, {std::move(key), item}});
    Apply(plan_.victim.back());
  }
  void Bystander(SetupStep::Kind kind, std::string key, Item item = {}) {
    plan_.bystander.push_back({kind, {std::move(key), item}});
    Apply(plan_.bystander.back());
  }

  // A few objects, some of which are pinned, by either client; some are gone but for those pins.
  void Populate() {
    Bystander(SetupStep::kPut, "bystander", RandomItem(900));
    Bystander(SetupStep::kPin, "bystander");
    Victim(SetupStep::kPut, "target", RandomItem(900));
    Victim(SetupStep::kPut, "other", RandomItem(900));
    Victim(SetupStep::kPin, "other");
    const uint64_t more = random_.Below(4);
    for (uint64_t i = 0; i < more; ++i) Victim(SetupStep::kPut, fmt::format("more-{}", i), RandomItem(900));
    // Retired, and pinned by nobody but the victim: comes back with its death.
    Victim(SetupStep::kPut, "gone", RandomItem(900));
    Victim(SetupStep::kPin, "gone");
    Victim(SetupStep::kDelete, "gone");
    if (random_.Percent(50)) Victim(SetupStep::kCreate, "unsealed", RandomItem(300));
    if (random_.Percent(50)) Victim(SetupStep::kPut, "target", RandomItem(900));
  }

  // An item that no content so far shows under this key: two contents that look alike (both values empty, say) could
  // not be told apart, and neither could an operation that has happened and one that has not.
  Item Unlike(const std::string& key, Item item) const {
    auto alike = [&](const Content& content) {
      const auto at = content.find(key);
      return at != content.end() && at->second.size == item.size && at->second.metadata_size == item.metadata_size;
    };
    while (alike(now_) || std::any_of(plan_.allowed.begin(), plan_.allowed.end(), alike)) ++item.size;
    return item;
  }

  void Begin() { plan_.allowed.push_back(now_); }
  void Put(const std::string& key, const Item& wanted) {
    const Item item = Unlike(key, wanted);
    plan_.objects.push_back({key, item});
    plan_.touched.push_back(key);
    Begin();
    now_[key] = item;
    plan_.allowed.push_back(now_);
  }

  // Keys of one home bucket, as many as asked for.
  std::vector<std::string> Colliding(size_t count) {
    const MemorySegment memory(plan_.options);
    const Segment& segment = memory.segment();
    std::vector<std::string> keys;
    const Bucket* home = nullptr;
    for (uint64_t i = 0; keys.size() < count; ++i) {
      std::string key = fmt::format("collide-{}", i);
      const Bucket* its = &segment.home(Key(segment, key).hash);
      if (home == nullptr) home = its;
      if (its == home) keys.push_back(std::move(key));
    }
    return keys;
  }

  void MakePut() {
    const std::string& name = plan_.name;
    if (name == "put-insert") return Put("fresh", RandomItem(2000));
    if (name == "put-replace") return Put("target", RandomItem(2000));
    if (name == "put-batch") return MakeBatch();
    if (name == "put-evict") return MakePutEvict();
    if (name == "put-heals") return MakeHealed();
    if (name == "put-large") return Put("target", {random_.Next(), 33'000 + random_.Below(6000), 40, false});
    if (name == "put-long-key") {
      Item item = RandomItem(2000);
      item.metadata_size = 333;
      return Put(Pattern(80 + random_.Below(300), random_.Next()), item);
    }
    if (name == "put-overflow") {
      const std::vector<std::string> keys = Colliding(kBucketEntries + 1);
      for (size_t i = 0; i < kBucketEntries; ++i) Victim(SetupStep::kPut, keys[i], RandomItem(200));
      return Put(keys[kBucketEntries], RandomItem(200));
    }
    if (name == "put-drain") {
      // One more retired object than makes a scan worth while.
      for (int i = 0; i < 32; ++i) Victim(SetupStep::kPut, "target", RandomItem(200));
      return Put("target", RandomItem(200));
    }
    Bystander(SetupStep::kSubscribe, "");
    plan_.events = 1;
    Put("target", RandomItem(2000));
  }

  void MakeBatch() {
    if (random_.Percent(50)) {
      Bystander(SetupStep::kSubscribe, "");
      plan_.events = 3;
    }
    Begin();
    for (const char* key : {"target", "fresh", "bystander"}) {
      plan_.objects.push_back({key, Unlike(key, RandomItem(1200))});
      plan_.touched.push_back(key);
      now_[key] = plan_.objects.back().item;
    }
    plan_.allowed.push_back(now_);
  }

  // No more objects, or no more bytes; then one or several of the oldest must go. What is pinned stays.
  void MakePutEvict() {
    for (int i = 0; now_.size() + 1 < plan_.options.max_objects; ++i)
      Victim(SetupStep::kPut, fmt::format("fill-{:02}", i), {random_.Next(), 2800 + random_.Below(400), 0, false});
    const uint64_t size = random_.Percent(50) ? 100 : 9000 + random_.Below(9000);
    MakeEvictions();
    plan_.objects.push_back({"fresh", {random_.Next(), size, 0, false}});
    plan_.touched.push_back("fresh");
    // The put may come after any number of evictions.
    const size_t count = plan_.allowed.size();
    for (size_t i = 0; i < count; ++i) {
      Content with = plan_.allowed[i];
      with["fresh"] = plan_.objects[0].item;
      plan_.allowed.push_back(std::move(with));
    }
  }

  // From `now_`, the contents after each eviction in turn, the least recently used first.
  void MakeEvictions() {
    Begin();
    std::vector<std::string> order;  // by last use: put or pinned
    auto use = [&](const SetupStep& step) {
      std::erase(order, step.object.key);
      order.push_back(step.object.key);
    };
    std::vector<std::string> pinned;
    for (const auto* steps : {&plan_.bystander, &plan_.victim}) {
      for (const SetupStep& step : *steps) {
        if (step.kind == SetupStep::kPin) pinned.push_back(step.object.key);
        if (step.kind == SetupStep::kPut || step.kind == SetupStep::kPin) use(step);
      }
    }
    for (const std::string& key : order) {
      if (!now_.contains(key) || std::find(pinned.begin(), pinned.end(), key) != pinned.end()) continue;
      now_.erase(key);
      plan_.allowed.push_back(now_);
    }
  }

  // After another client was killed in its put of the same key.
  void MakeHealed() {
    AfterDeath();
    const Item item = Unlike("target", RandomItem(2000));
    plan_.objects.push_back({"target", item});
    const size_t count = plan_.allowed.size();
    for (size_t i = 0; i < count; ++i) {
      Content with = plan_.allowed[i];
      with["target"] = item;
      plan_.allowed.push_back(std::move(with));
    }
  }

  void AfterDeath() {
    constexpr std::array<const char*, 6> kOperations = {"put-replace", "put-batch", "put-drain",
                                                        "delete",      "put-event", "put-replace"};
    plan_.dead_operation = kOperations[random_.Below(kOperations.size())];
    plan_.dead_seed = random_.Next();
    StepPlan dead = MakeStepPlan(plan_.dead_operation, plan_.dead_seed);
    plan_.options = dead.options;
    plan_.heap = dead.heap;
    plan_.bystander = dead.bystander;
    plan_.allowed = dead.allowed;
    plan_.touched = dead.touched;
  }

  void MakeCreate() {
    Item item = RandomItem(2000);
    if (plan_.name == "create-large") {
      item.size = kWholePagesFrom + random_.Below(5000);
      item.whole_pages = true;
    }
    plan_.kind = plan_.name == "create-abort" ? StepKind::kCreateAbort : StepKind::kCreateSeal;
    if (random_.Percent(50)) {
      Bystander(SetupStep::kSubscribe, "");
      plan_.events = plan_.kind == StepKind::kCreateSeal ? 1 : 0;
    }
    Put("fresh", item);
    if (plan_.kind == StepKind::kCreateAbort) plan_.allowed.pop_back();
  }

  void MakeDelete() {
    plan_.kind = StepKind::kDelete;
    std::string key = "target";
    if (plan_.name == "delete-overflow") {
      const std::vector<std::string> keys = Colliding(kBucketEntries + 1);
      for (const std::string& its : keys) Victim(SetupStep::kPut, its, RandomItem(200));
      key = keys[random_.Below(keys.size())];
    } else if (random_.Percent(50)) {
      key = "bystander";  // which the other client has pinned
    }
    if (random_.Percent(50)) {
      Bystander(SetupStep::kSubscribe, "");
      plan_.events = 1;
    }
    plan_.objects.push_back({key, {}});
    plan_.touched.push_back(key);
    Begin();
    now_.erase(key);
    plan_.allowed.push_back(now_);
  }

  void MakeOther() {
    const std::string& name = plan_.name;
    if (name == "recover") {
      plan_.kind = StepKind::kRecover;
      return AfterDeath();
    }
    if (name == "replace-version") {
      plan_.kind = StepKind::kReplace;
      return Put("target", RandomItem(2000));
    }
    if (name == "evict") {
      plan_.kind = StepKind::kEvict;
      plan_.evict_bytes = 1 + random_.Below(1500);
      return MakeEvictions();
    }
    plan_.kind = name == "subscribe"     ? StepKind::kSubscribe
                 : name == "unsubscribe" ? StepKind::kUnsubscribe
                 : name == "attach"      ? StepKind::kAttach
                                         : StepKind::kDetach;
    if (name == "attach") {
      for (const SetupStep& step : plan_.victim) now_.erase(step.object.key);
      plan_.victim.clear();
    }
    if (name == "unsubscribe") Victim(SetupStep::kSubscribe, "");
    Begin();
  }

  StepPlan plan_;
  Random random_;
  uint64_t heap_ = 0;
  Content now_;
};

}  // namespace

std::span<const std::string_view> StepNames() { return kStepNames; }

bool IsStepName(std::string_view name) {
  return std::find(kStepNames.begin(), kStepNames.end(), name) != kStepNames.end();
}

StepPlan MakeStepPlan(std::string_view name, uint64_t seed) {
  StepPlan plan = Maker(name, seed).Make();
  // The kind of all that put is kPut but for a batch.
  if (plan.name == "put-batch") plan.kind = StepKind::kPutBatch;
  return plan;
}

}  // namespace lightning::faults
