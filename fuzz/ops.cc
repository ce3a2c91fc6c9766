// ops: the bytes are a plan. Up to three clients do about twenty operations under a schedule of the input's, are
// killed, stopped and recovered where it says, on the simulation engine. Each answer is compared with what the model
// allows at that moment; each store to shared state must have its undo entry; at the end the history must be
// linearizable, the content one that the model allows, and the accounts must balance. One input in sixteen also looks
// at one crash state: everybody dead at the store that it names, healed and judged.
#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>

#include "faults/plan/plan_text.h"
#include "faults/plan/plan_words.h"
#include "faults/sim/crash_judge.h"
#include "faults/sim/simulation.h"
#include "fuzz/support.h"

namespace lightning::fuzz {
namespace {

using namespace faults;

constexpr uint32_t kKeys = 4;
constexpr RecordForm kForm{.header = 4, .record = 4, .least = 18, .most = 26};

enum class What : uint8_t { kOperation, kKill, kStop };
struct Choice {
  What what = What::kOperation;
  Action action = Action::kPut;
};
constexpr Choice Do(Action action) { return {What::kOperation, action}; }
// What takes long (a check of all invariants takes as long as twenty gets) shares one place: kCheck stands for four.
constexpr std::array<Choice, 32> kChoices = {
    Do(Action::kPut),        Do(Action::kGet),         Do(Action::kDelete),   Do(Action::kCreate),
    Do(Action::kSeal),       Do(Action::kPin),         Do(Action::kUnpin),    Do(Action::kReplace),
    Do(Action::kPutBatch),   Do(Action::kContains),    Do(Action::kAbort),    Do(Action::kGet),
    Do(Action::kGet),        Do(Action::kDetach),      Do(Action::kAttach),   Do(Action::kSubscribe),
    Do(Action::kNextEvent),  Do(Action::kUnsubscribe), Do(Action::kContains), Do(Action::kCheck),
    Choice{What::kKill, {}}, Choice{What::kStop, {}},  Do(Action::kPut),      Do(Action::kPut),
    Do(Action::kPut),        Do(Action::kGet),         Do(Action::kGet),      Do(Action::kDelete),
    Do(Action::kReplace),    Do(Action::kCreate),      Do(Action::kSeal),     Do(Action::kGet)};
constexpr std::array<Action, 4> kLong = {Action::kCheck, Action::kRecover, Action::kEvict, Action::kList};
// One that is too long for an object's own record among them.
const std::array<std::string, kKeys> kNames = {"a", "b", "c", std::string(101, 'd')};
constexpr uint32_t kMostLong = 3, kMostBatches = 3;  // of a plan
constexpr std::array<uint64_t, 8> kSizes = {8, 64, 0, 65, 200, 1, 1000, 4096};

// A simulation that is used again and again, for plans of one shape.
class Scene {
 public:
  Scene(uint32_t clients, bool evicts) {
    plan_.engine = Engine::kSim;
    plan_.segment.max_clients = clients + 3;
    plan_.segment.max_objects = evicts ? 4 : 8;
    plan_.segment.heap = evicts ? 12 * 1024 : 64 * 1024;
    plan_.segment.eviction = evicts ? Eviction::kLru : Eviction::kNone;
    plan_.schedule.strategy = Schedule::kReplay;
    for (uint32_t i = 0; i < clients; ++i)
      plan_.clients.push_back({std::string(1, static_cast<char>('a' + i)), {}, {}});
    plan_.recoverers = {{"r1", true, {}}, {"r2", false, {}}};
    simulation_ = std::make_unique<Simulation>(plan_);
  }

  void Run(ByteStream& in, uint8_t look, uint8_t healer) {
    Decode(in, healer);
    static const bool show = getenv("LIGHTNING_FUZZ_SHOW") != nullptr;
    if (show) fprintf(stderr, "%s", PrintPlan(plan_).c_str());
    simulation_->PlanChanged();
    const uint64_t before = simulation_->counts().operations;
    const auto strategy = MakeStrategy(plan_.schedule, static_cast<uint32_t>(plan_.clients.size()), 0);
    std::optional<OneCrash> crash;
    if ((look & 15) == 15) crash.emplace(1 + (look >> 4) * 13U);
    const std::string error = simulation_->Run(*strategy, crash ? &*crash : nullptr);
    if (!error.empty()) {
      plan_.schedule.steps = simulation_->TurnsSoFar();
      Fail(error + "\n" + PrintPlan(plan_));
    }
    CountOperations(simulation_->counts().operations - before);
  }

 private:
  // Looks at the state after one store, and at no other.
  class OneCrash final : public CrashObserver {
   public:
    explicit OneCrash(uint64_t number) : number_(number) {}
    bool IsNew(uint64_t) override { return ++seen_ == number_; }
    std::string Check(CrashImage& image, const Record& record) override { return judge_.Check(image, record); }
    bool SawEnough() const override { return true; }

   private:
    CrashJudge judge_{/*depth=*/0, /*nested_share=*/1};
    const uint64_t number_;
    uint64_t seen_ = 0;
  };

  void Decode(ByteStream& in, uint8_t healer) {
    for (PlanClient& client : plan_.clients) {
      for (PlanOperation& operation : client.operations) spare_.push_back(std::move(operation));
      client.operations.clear();
    }
    plan_.kills.clear();
    plan_.stops.clear();
    plan_.schedule.steps.clear();
    plan_.recoverers.clear();
    tag_ = 0;
    tiny_ = 0;
    long_ = batches_ = 0;
    const size_t records = std::min(in.left() / kForm.record, kForm.most);
    for (size_t i = 0; i < records; ++i) DecodeOne(in);
    if ((healer & 7) == 7) {
      const Moment at{AnyUnit(static_cast<uint8_t>(healer >> 5)), 1 + ((healer >> 3) & 15U) * 4};
      plan_.recoverers = {{"r1", true, at}, {"r2", false, {}}};
    }
  }

  void DecodeOne(ByteStream& in) {
    const uint8_t action = in.Byte(), where = in.Byte(), amount = in.Byte(), turn = in.Byte();
    const auto clients = static_cast<uint32_t>(plan_.clients.size());
    const uint32_t number = (action >> 5) % clients;
    PlanClient& client = plan_.clients[number];
    const Choice& choice = kChoices[action % kChoices.size()];
    if (turn != 0) {
      const uint64_t points = 1 + (turn & 31U) * ((turn & 32) != 0 ? 16U : 1U);
      plan_.schedule.steps.push_back({(turn >> 6) % clients, points, amount & 7U});
    }
    const Moment at{AnyUnit(where), uint64_t{1} + amount};
    if (choice.what == What::kKill) {
      if (plan_.kills.size() < clients) plan_.kills.push_back({client.name, at});
    } else if (choice.what == What::kStop) {
      if (plan_.stops.empty()) plan_.stops.push_back({client.name, at, uint64_t{where} * 4});
    } else {
      Action chosen = choice.action == Action::kCheck ? kLong[amount % kLong.size()] : choice.action;
      // Inputs that reach much are full of them, and what takes long takes from what others might find.
      if (choice.action == Action::kCheck && ++long_ > kMostLong) chosen = Action::kContains;
      if (choice.action == Action::kPutBatch && ++batches_ > kMostBatches) chosen = Action::kPut;
      client.operations.push_back(MakeOperation(chosen, where, amount));
    }
  }

  PlanOperation MakeOperation(Action action, uint8_t where, uint8_t amount) {
    PlanOperation operation;
    if (!spare_.empty()) {
      operation = std::move(spare_.back());
      spare_.pop_back();
    }
    operation.action = action;
    operation.amount = 0;
    const uint32_t key = where % kKeys;
    size_t items = 0;
    const auto add = [&](const std::string& name, const Item& item) {
      if (items == operation.items.size()) operation.items.push_back(SpareItem());
      operation.items[items].key = name;
      operation.items[items++].item = item;
    };
    switch (OperandsOf(action)) {
      case Operands::kNone:
        break;
      case Operands::kKey:
        add(kNames[key], {});
        break;
      case Operands::kPrefix:
        add((where & 4) != 0 ? kNames[key] : std::string(), {});
        break;
      case Operands::kItem:
        add(kNames[key], NewItem(key, where >> 2));
        break;
      case Operands::kBatch:
        for (uint32_t i = 0; i <= amount / 64 % kKeys; ++i) {
          const uint32_t of = (key + i) % kKeys;
          add(kNames[of], NewItem(of, where >> 2));
        }
        break;
      case Operands::kBytes:
        operation.amount = uint64_t{amount} * 64;
        break;
    }
    for (; operation.items.size() > items; operation.items.pop_back())
      spare_items_.push_back(std::move(operation.items.back()));
    return operation;
  }

  NamedItem SpareItem() {
    if (spare_items_.empty()) return {};
    NamedItem item = std::move(spare_items_.back());
    spare_items_.pop_back();
    return item;
  }

  // No two items of one key look alike, so that every value that is read names the operation that wrote it.
  Item NewItem(uint32_t key, uint32_t choice) {
    uint64_t size = kSizes[choice % kSizes.size()];
    const uint32_t bit = 1U << (key * 2 + (size == 0 ? 0 : 1));
    if (size < 8) {
      if ((tiny_ & bit) != 0) size = 8;
      tiny_ |= bit;
    }
    const uint32_t metadata = (choice & 8) != 0 && size >= 8 ? 20 : 0;
    return {.tag = ++tag_, .size = size, .metadata_size = metadata};
  }

  // kInstruction is the step engine's.
  static Moment::Unit AnyUnit(uint8_t choice) { return static_cast<Moment::Unit>(1 + choice % 11); }

  Plan plan_;
  std::vector<PlanOperation> spare_;  // whose memory is used again
  std::vector<NamedItem> spare_items_;
  std::unique_ptr<Simulation> simulation_;
  uint64_t tag_ = 0;
  uint32_t tiny_ = 0;  // items of 0 or 1 byte, by key
  uint32_t long_ = 0, batches_ = 0;
};

}  // namespace
}  // namespace lightning::fuzz

LIGHTNING_FUZZ(ops) {
  using lightning::fuzz::Scene;
  static std::map<std::pair<uint32_t, bool>, std::unique_ptr<Scene>> scenes;
  lightning::fuzz::ByteStream in(data, size);
  const uint8_t shape = in.Byte(), look = in.Byte(), healer = in.Byte();
  in.Byte();
  const uint32_t clients = shape % 4 == 0 ? 2 : shape % 4;
  const bool evicts = (shape & 0x1C) == 0x1C;
  auto& scene = scenes[{clients, evicts}];
  if (scene == nullptr) scene = std::make_unique<Scene>(clients, evicts);
  scene->Run(in, look, healer);
  return 0;
}
LIGHTNING_FUZZ_RECORDS(lightning::fuzz::kForm)
