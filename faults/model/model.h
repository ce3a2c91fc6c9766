// A plain sequential model of the store: what each operation must answer, what is in the store afterwards, and what its
// accounts say. Knows nothing of how the store works, only of what its header promises.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "faults/model/content.h"
#include "lightning/client.h"

namespace lightning::faults {

struct ModelObject {
  std::string key;
  Item item;
  uint64_t version = 0;
  uint32_t creator = 0;               // client, while unsealed
  uint64_t made = 0;                  // the model's clock
  std::map<uint32_t, uint64_t> uses;  // last use by each client that is still there
  uint32_t pins = 0;
  uint64_t bytes() const { return HeapBytes(key, item); }
  uint64_t last_use() const;
};
using ObjectPtr = std::shared_ptr<ModelObject>;

struct ModelLimits {
  uint64_t heap_bytes = 0;
  uint32_t max_objects = 0;
  uint32_t event_slots = 0;
  bool evicts = false;
};

class Model {
 public:
  explicit Model(const ModelLimits& limits) : limits_(limits) {}

  // What is under the key, or null.
  ObjectPtr Sealed(const std::string& key) const { return Find(sealed_, key); }
  ObjectPtr Unsealed(const std::string& key) const { return Find(unsealed_, key); }
  const std::map<std::string, ObjectPtr>& sealed() const { return sealed_; }
  uint64_t objects() const { return sealed_.size() + unsealed_.size(); }
  uint64_t bytes_used() const { return bytes_used_; }
  // Of what is in nobody's reach any more but pinned.
  uint64_t bytes_pinned_only() const;

  // The changes. `version` is what the store answered; CheckVersion says what is wrong with it.
  std::string CheckVersion(const std::string& key, uint64_t version) const;
  void Put(uint32_t client, const std::string& key, const Item& item, uint64_t version);
  ObjectPtr Create(uint32_t client, const std::string& key, const Item& item);
  void Seal(uint32_t client, const ObjectPtr& object, uint64_t version);
  void Abort(const ObjectPtr& object);
  void Delete(const std::string& key, EventKind kind = EventKind::kDeleted);
  void Use(uint32_t client, const ObjectPtr& object) { object->uses[client] = ++clock_; }
  void Pin(const ObjectPtr& object);
  void Unpin(const ObjectPtr& object);
  // The client is gone: nothing remembers what it used; what it had created and not sealed is gone.
  void Forget(uint32_t client);

  // Sealed objects that nobody pins, the least recently used first.
  std::vector<ObjectPtr> EvictionOrder() const;
  // What Evict(bytes) frees, and the keys in order.
  uint64_t PlanEviction(uint64_t bytes, std::vector<std::string>* keys) const;

  // Events, kept from when somebody listens.
  void set_subscribers(uint32_t count) { subscribers_ = count; }
  uint64_t event_head() const { return first_event_ + events_.size(); }
  const Event& event(uint64_t sequence) const { return events_[sequence - first_event_]; }
  void ForgetEventsBefore(uint64_t sequence);

  const ModelLimits& limits() const { return limits_; }

 private:
  static ObjectPtr Find(const std::map<std::string, ObjectPtr>& in, const std::string& key) {
    const auto at = in.find(key);
    return at == in.end() ? nullptr : at->second;
  }
  void Unlink(const ObjectPtr& object);
  void Note(EventKind kind, const ModelObject& object);

  const ModelLimits limits_;
  std::map<std::string, ObjectPtr> sealed_, unsealed_;
  std::vector<ObjectPtr> pinned_only_;
  std::unordered_map<std::string, uint64_t> newest_version_;  // that each key ever had
  std::deque<Event> events_;
  uint64_t first_event_ = 0;
  uint32_t subscribers_ = 0;
  uint64_t bytes_used_ = 0;
  uint64_t clock_ = 0;
};

}  // namespace lightning::faults
