#include "faults/plan/playback.h"

#include "faults/plan/plan_words.h"

namespace lightning::faults {
namespace {

ModelLimits LimitsOf(const PlanSegment& segment) {
  ModelLimits limits;
  limits.heap_bytes = segment.heap;
  limits.max_objects = segment.max_objects;
  limits.event_slots = segment.event_slots;
  limits.evicts = segment.eviction == Eviction::kLru;
  return limits;
}

}  // namespace

Playback::Playback(const Plan& plan)
    : model_(LimitsOf(plan.segment)), heap_(plan.segment.heap), hands_(plan.clients.size()) {
  // A client whose first operation is attach is not there before.
  for (size_t i = 0; i < hands_.size(); ++i) {
    const auto& operations = plan.clients[i].before.empty() ? plan.clients[i].operations : plan.clients[i].before;
    hands_[i].attached = operations.empty() || operations[0].action != Action::kAttach;
  }
}

ObjectPtr Playback::Created(size_t client, const std::string& key) const {
  const ObjectPtr object = model_.Unsealed(key);
  return object != nullptr && object->creator == Number(client) ? object : nullptr;
}

Code Playback::Predict(size_t client, const PlanOperation& operation) const {
  const Hand& hand = hands_[client];
  if (hand.attached == (operation.action == Action::kAttach)) return Code::kClosed;
  const std::string key = operation.items.empty() ? "" : operation.items[0].key;
  const ObjectPtr there = model_.Sealed(key);
  const Code reserved = model_.Unsealed(key) != nullptr ? Code::kBeingCreated : Code::kNotFound;
  switch (operation.action) {
    case Action::kPut:
    case Action::kPutBatch:
      for (const NamedItem& item : operation.items) {
        if (model_.Unsealed(item.key) != nullptr) return Code::kBeingCreated;
      }
      return Code::kOk;
    case Action::kReplace: {
      if (there == nullptr) return reserved;
      const auto seen = hand.seen.find(key);
      return seen != hand.seen.end() && seen->second == there->version ? Code::kOk : Code::kVersionMismatch;
    }
    case Action::kCreate:
      return there != nullptr ? Code::kAlreadyExists : reserved == Code::kBeingCreated ? reserved : Code::kOk;
    case Action::kSeal:
    case Action::kAbort:
      return Created(client, key) != nullptr ? Code::kOk : Code::kClosed;
    case Action::kGet:
    case Action::kPin:
      return there != nullptr ? Code::kOk : Code::kNotFound;
    case Action::kDelete:
      return there != nullptr ? Code::kOk : reserved;
    case Action::kUnpin:
      return hand.pins.contains(key) ? Code::kOk : Code::kClosed;
    case Action::kUnsubscribe:
    case Action::kNextEvent:
      return hand.subscriptions != 0 ? Code::kOk : Code::kClosed;
    default:
      return Code::kOk;
  }
}

void Playback::Put(size_t client, const NamedItem& item) {
  model_.Put(Number(client), item.key, item.item, ++versions_[item.key]);
  hands_[client].seen[item.key] = versions_[item.key];
}

void Playback::LetGo(size_t client) {
  Hand& hand = hands_[client];
  for (const auto& [key, objects] : hand.pins) {
    for (const ObjectPtr& object : objects) model_.Unpin(object);
  }
  model_.Forget(Number(client));
  subscribers_ -= hand.subscriptions;
  model_.set_subscribers(subscribers_);
  hand = {};
  hand.attached = false;
}

void Playback::Die(size_t client) { LetGo(client); }

void Playback::Apply(size_t client, const PlanOperation& operation) {
  if (Predict(client, operation) != Code::kOk) return;
  Hand& hand = hands_[client];
  const std::string key = operation.items.empty() ? "" : operation.items[0].key;
  const ObjectPtr there = model_.Sealed(key);
  switch (operation.action) {
    case Action::kPut:
    case Action::kReplace:
    case Action::kPutBatch:
      for (const NamedItem& item : operation.items) Put(client, item);
      break;
    case Action::kCreate:
      model_.Create(Number(client), key, operation.items[0].item);
      break;
    case Action::kSeal:
      model_.Seal(Number(client), Created(client, key), ++versions_[key]);
      hand.seen[key] = versions_[key];
      break;
    case Action::kAbort:
      model_.Abort(Created(client, key));
      break;
    case Action::kPin:
      model_.Pin(there);
      hand.pins[key].push_back(there);
      [[fallthrough]];
    case Action::kGet:
      model_.Use(Number(client), there);
      hand.seen[key] = there->version;
      break;
    case Action::kUnpin:
      model_.Unpin(hand.pins[key].front());
      hand.pins[key].pop_front();
      if (hand.pins[key].empty()) hand.pins.erase(key);
      break;
    case Action::kDelete:
      model_.Delete(key);
      break;
    case Action::kEvict:
      Evict(EvictionsFor(operation.amount));
      break;
    case Action::kSubscribe:
    case Action::kUnsubscribe:
      subscribers_ += operation.action == Action::kSubscribe ? 1u : ~0u;
      hand.subscriptions += operation.action == Action::kSubscribe ? 1u : ~0u;
      model_.set_subscribers(subscribers_);
      break;
    case Action::kAttach:
      hand.attached = true;
      break;
    case Action::kDetach:
      LetGo(client);
      break;
    case Action::kContains:
    case Action::kList:
    case Action::kNextEvent:
    case Action::kRecover:
    case Action::kCheck:
      break;
  }
}

void Playback::Evict(size_t count) {
  const std::vector<ObjectPtr> order = model_.EvictionOrder();
  for (size_t i = 0; i < count && i < order.size(); ++i) model_.Delete(order[i]->key, EventKind::kEvicted);
}

size_t Playback::EvictionsFor(uint64_t bytes) const {
  std::vector<std::string> keys;
  model_.PlanEviction(bytes, &keys);
  return keys.size();
}

Content Playback::content() const {
  Content content;
  for (const auto& [key, object] : model_.sealed()) content[key] = object->item;
  return content;
}

bool Playback::MayBeFull(const PlanOperation& operation, Code* code) const {
  const Operands operands = OperandsOf(operation.action);
  if (operands != Operands::kItem && operands != Operands::kBatch) return false;
  uint64_t bytes = 0, objects = 0;
  for (const NamedItem& item : operation.items) {
    bytes += HeapBytes(item.key, item.item);
    objects += model_.Sealed(item.key) == nullptr ? 1 : 0;
  }
  *code = model_.objects() + objects > model_.limits().max_objects ? Code::kTooManyObjects : Code::kSegmentFull;
  return *code == Code::kTooManyObjects || model_.bytes_used() + model_.bytes_pinned_only() + bytes > heap_ / 2;
}

}  // namespace lightning::faults
