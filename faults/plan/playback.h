// A plan's operations on the sequential model, one after the other.
#pragma once

#include <deque>
#include <map>
#include <string>
#include <vector>

#include "faults/model/model.h"
#include "faults/plan/plan.h"

namespace lightning::faults {

class Playback {
 public:
  explicit Playback(const Plan& plan);

  // What the store must answer if it has room. Only next-event may answer otherwise.
  Code Predict(size_t client, const PlanOperation& operation) const;
  // The operation has its effect; nothing happens when the prediction is an error.
  void Apply(size_t client, const PlanOperation& operation);
  // The least recently used objects are gone, so many of them.
  void Evict(size_t count);
  // How many are evicted for so many bytes.
  size_t EvictionsFor(uint64_t bytes) const;
  // All that may be evicted now.
  size_t evictable() const { return model_.EvictionOrder().size(); }
  // The client was killed, and what it left was healed.
  void Die(size_t client);

  Content content() const;
  uint64_t events() const { return model_.event_head(); }
  // Whether the store may refuse the operation for want of room: objects are counted, and bytes lie in pieces.
  bool MayBeFull(const PlanOperation& operation, Code* code) const;

 private:
  struct Hand {
    bool attached = true;
    std::map<std::string, std::deque<ObjectPtr>> pins;
    std::map<std::string, uint64_t> seen;  // version, by key
    uint32_t subscriptions = 0;
  };
  void Put(size_t client, const NamedItem& item);
  void LetGo(size_t client);
  ObjectPtr Created(size_t client, const std::string& key) const;
  // A client's number in the model: there 0 is nobody.
  static uint32_t Number(size_t client) { return static_cast<uint32_t>(client) + 1; }

  Model model_;
  const uint64_t heap_;
  std::vector<Hand> hands_;
  std::map<std::string, uint64_t> versions_;
  uint32_t subscribers_ = 0;
};

}  // namespace lightning::faults
