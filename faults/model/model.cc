#include "faults/model/model.h"

#include <fmt/format.h>

#include <algorithm>

namespace lightning::faults {

uint64_t ModelObject::last_use() const {
  uint64_t last = made;
  for (const auto& [client, use] : uses) last = std::max(last, use);
  return last;
}

uint64_t Model::bytes_pinned_only() const {
  uint64_t total = 0;
  for (const ObjectPtr& object : pinned_only_) total += object->bytes();
  return total;
}

std::string Model::CheckVersion(const std::string& key, uint64_t version) const {
  const auto newest = newest_version_.find(key);
  const uint64_t before = newest == newest_version_.end() ? 0 : newest->second;
  if (version > before) return "";
  return fmt::format("{} got version {}, and had version {} before", ShowKey(key), version, before);
}

void Model::Note(EventKind kind, const ModelObject& object) {
  if (subscribers_ == 0) return;
  events_.push_back({event_head(), kind, object.key, object.version, object.item.size});
}

void Model::Unlink(const ObjectPtr& object) {
  sealed_.erase(object->key);
  bytes_used_ -= object->bytes();
  if (object->pins != 0) pinned_only_.push_back(object);
}

void Model::Put(uint32_t client, const std::string& key, const Item& item, uint64_t version) {
  if (const ObjectPtr old = Sealed(key)) Unlink(old);
  auto object = std::make_shared<ModelObject>();
  object->key = key;
  object->item = item;
  object->version = version;
  object->made = ++clock_;
  bytes_used_ += object->bytes();
  sealed_[key] = object;
  newest_version_[key] = version;
  Use(client, object);
  Note(EventKind::kSealed, *object);
}

ObjectPtr Model::Create(uint32_t client, const std::string& key, const Item& item) {
  auto object = std::make_shared<ModelObject>();
  object->key = key;
  object->item = item;
  object->creator = client;
  object->made = ++clock_;
  bytes_used_ += object->bytes();
  unsealed_[key] = object;
  return object;
}

void Model::Seal(uint32_t client, const ObjectPtr& object, uint64_t version) {
  unsealed_.erase(object->key);
  sealed_[object->key] = object;
  object->version = version;
  newest_version_[object->key] = version;
  Use(client, object);
  Note(EventKind::kSealed, *object);
}

void Model::Abort(const ObjectPtr& object) {
  unsealed_.erase(object->key);
  bytes_used_ -= object->bytes();
}

void Model::Delete(const std::string& key, EventKind kind) {
  const ObjectPtr object = Sealed(key);
  if (object == nullptr) return;
  Unlink(object);
  Note(kind, *object);
}

void Model::Pin(const ObjectPtr& object) { ++object->pins; }

void Model::Unpin(const ObjectPtr& object) {
  if (--object->pins == 0) std::erase(pinned_only_, object);
}

void Model::Forget(uint32_t client) {
  for (auto& [key, object] : sealed_) object->uses.erase(client);
  std::vector<ObjectPtr> gone;
  for (const auto& [key, object] : unsealed_) {
    if (object->creator == client) gone.push_back(object);
  }
  for (const ObjectPtr& object : gone) Abort(object);
}

std::vector<ObjectPtr> Model::EvictionOrder() const {
  std::vector<ObjectPtr> order;
  for (const auto& [key, object] : sealed_) {
    if (object->pins == 0) order.push_back(object);
  }
  std::sort(order.begin(), order.end(),
            [](const ObjectPtr& a, const ObjectPtr& b) { return a->last_use() < b->last_use(); });
  return order;
}

uint64_t Model::PlanEviction(uint64_t bytes, std::vector<std::string>* keys) const {
  uint64_t freed = 0;
  for (const ObjectPtr& object : EvictionOrder()) {
    if (freed >= bytes) break;
    freed += object->bytes();
    keys->push_back(object->key);
  }
  return freed;
}

void Model::ForgetEventsBefore(uint64_t sequence) {
  while (first_event_ < sequence && !events_.empty()) {
    events_.pop_front();
    ++first_event_;
  }
}

}  // namespace lightning::faults
