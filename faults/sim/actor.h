// One client of a plan: does its operations, and writes down what it meant to do and what came of it.
#pragma once

#include <functional>
#include <memory_resource>
#include <optional>
#include <string>
#include <vector>

#include "faults/plan/plan.h"
#include "faults/sim/record.h"
#include "lightning/client.h"

namespace lightning::faults {

// What an actor needs of the run that it is in.
class Stage {
 public:
  virtual ~Stage() = default;
  // A time later than all before.
  virtual uint64_t Tick() = 0;
  virtual Result<Client> Attach(uint32_t client) = 0;
  // Something is wrong with the store.
  virtual void Fail(std::string what) = 0;
  // Somebody may be stopped for longer than others wait.
  virtual bool PatienceMayEnd() const = 0;
  // A client is dead, and perhaps not healed yet.
  virtual bool SomebodyDied() const = 0;
  // While it stays the same, no other living client was inside an operation. None: one is.
  virtual std::optional<uint64_t> OthersAtRest(uint32_t client) const = 0;
};

class Actor {
 public:
  // What it writes down stands in `memory`.
  Actor(uint32_t number, Stage& stage, Record& record, std::pmr::memory_resource* memory)
      : number_(number),
        stage_(stage),
        record_(record),
        kept_(memory),
        open_(memory),
        subscriptions_(memory),
        last_(memory),
        batch_(memory),
        tokens_(memory) {}

  void Do(const PlanOperation& operation) {
    ++steps_;
    DoOne(operation);
    ++steps_;
  }
  // Looks at what it has pinned once more, and lets go of everything.
  void Leave();
  Client* client() { return client_ ? &*client_ : nullptr; }
  bool attached() const { return client_.has_value(); }
  uint64_t operations() const { return operations_; }
  // Begun and ended.
  uint64_t steps() const { return steps_; }

 private:
  struct Kept {
    const KnownItem* item;
    Handle handle;
  };
  struct Open {
    const KnownItem* item;
    Writer writer;
  };
  struct Last {
    uint32_t key;
    const KnownItem* item;
    uint64_t version;
  };
  // Of an operation.
  struct Beginning {
    uint64_t call;
    std::optional<uint64_t> at_rest;  // Stage::OthersAtRest
  };

  void DoOne(const PlanOperation& operation);
  void Put(const PlanOperation& operation);
  void Replace(const PlanOperation& operation);
  void PutBatch(const PlanOperation& operation);
  void Create(const PlanOperation& operation);
  void SealOrAbort(const PlanOperation& operation);
  void Get(const PlanOperation& operation, bool keep);
  void Unpin(uint32_t key);
  void Contains(const PlanOperation& operation);
  void Delete(const PlanOperation& operation);
  void List(const PlanOperation& operation);
  void Other(const PlanOperation& operation);
  void Look(const Kept& kept);

  // A write begins; the returned token ends it.
  Record::Token BeginWrite(const KnownItem* item, uint32_t batch = 0, const Last* expected = nullptr);
  void EndWrite(Record::Token token, bool done, uint64_t version);
  void Remember(uint32_t key, const KnownItem* item, uint64_t version);
  Beginning Begin() { return {stage_.Tick(), stage_.OthersAtRest(number_)}; }
  // Fails where a key of the operation was refused as being created, though only the dead were creating it: nobody is
  // kept out by a dead peer (rule 12).
  void ExpectReserved(const Beginning& beginning, Code code, const PlanOperation& operation);
  // Fails unless the code is one that the operation may give.
  void Expect(const char* what, const Status& status, std::initializer_list<Code> allowed);

  const uint32_t number_;
  Stage& stage_;
  Record& record_;
  std::optional<Client> client_;
  std::pmr::vector<Kept> kept_;
  std::pmr::vector<Open> open_;
  std::pmr::vector<Subscription> subscriptions_;
  std::pmr::vector<Last> last_;             // what it last saw of each key
  std::pmr::vector<BatchItem> batch_;       // that it is putting
  std::pmr::vector<Record::Token> tokens_;  // by which to end that
  uint64_t operations_ = 0, steps_ = 0;
};

}  // namespace lightning::faults
