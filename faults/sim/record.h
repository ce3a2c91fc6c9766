// What the clients of one run did, written down outside the segment: each intent before its operation, each outcome
// after it; and what of that may be found after everybody's death at this instant.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "faults/check/linearizability.h"
#include "faults/plan/plan.h"
#include "lightning/client.h"

namespace lightning::faults {

// An item of the plan with its bytes, made once.
struct KnownItem {
  uint32_t key = 0;
  Item item;
  std::string value, metadata;
};

// The plan's keys and items by number.
class Catalogue {
 public:
  explicit Catalogue(const Plan& plan) { Read(plan); }
  // The plan as it is now, which stays as it is until the next one. What the last one took is used again.
  void Read(const Plan& plan);

  size_t keys() const { return names_.size(); }
  const std::string& name(uint32_t key) const { return *names_[key]; }
  // Of one operation of the plan, in its order.
  const KnownItem* Of(const PlanOperation& operation, size_t item) const;
  // Which of the items that the plan puts under this key has these bytes; null when none has.
  const KnownItem* Recognise(uint32_t key, Bytes value, Bytes metadata) const;

 private:
  // A client's operations, side by side in the plan.
  struct Program {
    const std::vector<PlanOperation>* operations;
    size_t first;  // of its operations in first_
  };
  void Add(const PlanOperation& operation);
  uint32_t NumberOf(const std::string& key);
  KnownItem& NextItem();

  std::vector<const std::string*> names_;  // the plan's
  std::vector<uint32_t> sorted_;           // keys by name
  std::vector<KnownItem> items_;           // of these the first so many
  size_t items_used_ = 0;
  std::vector<Program> programs_;
  std::vector<size_t> first_;                // by operation: its first item
  std::vector<std::vector<size_t>> by_key_;  // as many as keys, or more
};

// One operation on one key. Times are accesses to shared words since the beginning.
struct KeyOperation {
  enum Kind : uint8_t { kWrite, kDelete, kRead } kind = kWrite;
  // failed: it answered that nothing happened; refused: that the value was not the expected one.
  enum State : uint8_t { kPending, kDone, kFailed, kRefused } state = kPending;
  bool conditional = false;  // a write that happens only if the value is still `expected`
  bool happened() const { return state == kDone || state == kPending; }
  uint32_t client = 0;
  uint64_t call = 0, end = kNever;
  const KnownItem* item = nullptr;  // written or read; null: the key was absent
  const KnownItem* expected = nullptr;
  uint64_t seen = kNever;  // a write: when a reader that saw it was done
  uint32_t batch = 0;      // writes with the same number happen together; zero: alone
  uint64_t version = 0;
};

class Record {
 public:
  explicit Record(const Catalogue& catalogue)
      : catalogue_(catalogue), keys_(catalogue.keys()), reserved_(catalogue.keys()) {}
  void Clear();
  // The catalogue names other keys and items now.
  void CatalogueChanged() {
    Clear();
    keys_.resize(catalogue_.keys());
    reserved_.resize(catalogue_.keys());
  }

  // A number by which to end it.
  struct Token {
    uint32_t key = 0;
    uint32_t index = 0;
  };
  Token Begin(uint32_t key, const KeyOperation& operation);
  void End(Token token, KeyOperation::State state, uint64_t now, uint64_t version);
  // A read that is done: what it saw. An error text, or "".
  std::string Saw(uint32_t key, uint32_t client, uint64_t call, uint64_t now, const KnownItem* item, uint64_t version);
  uint32_t NextBatch() { return ++batches_; }
  // A client begins to create a key; its last one that is open has been sealed, aborted or refused; it holds nothing
  // any more, for it left or died.
  void Reserve(uint32_t key, uint32_t client, uint64_t call);
  void Release(uint32_t key, uint32_t client, uint64_t now);
  void ReleaseAll(uint32_t client, uint64_t now);
  // Whether a living client had the key reserved at some time since the operation that began at `call`, by another
  // operation.
  bool WasReserved(uint32_t key, uint64_t call) const;
  // From here on, a key may vanish at any time.
  void KeysMayVanish() { may_vanish_ = true; }
  bool keys_may_vanish() const { return may_vanish_; }

  // What may be found if nothing ever happens again: `found` by key, null where absent. An error text, or "".
  std::string JudgeFound(const std::vector<const KnownItem*>& found) const;
  // Whether all that was done and seen is linearizable, key by key. An error text, or "".
  std::string JudgeHistory();

  const std::vector<std::vector<KeyOperation>>& keys() const { return keys_; }
  const Catalogue& catalogue() const { return catalogue_; }

 private:
  // From the call of a create until its seal's or abort's answer, or its client's death.
  struct Reservation {
    uint32_t client;
    uint64_t call, end = kNever;
  };
  std::string JudgeKey(uint32_t key, const KnownItem* found) const;
  std::string JudgeBatches(const std::vector<const KnownItem*>& found) const;

  const Catalogue& catalogue_;
  std::vector<std::vector<KeyOperation>> keys_;
  std::vector<std::vector<Reservation>> reserved_;  // by key
  LinearizabilityChecker checker_;
  std::vector<RegisterOperation> history_;
  uint32_t batches_ = 0;
  bool may_vanish_ = false;
};

}  // namespace lightning::faults
