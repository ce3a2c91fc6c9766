// Runs a sequence of operations on a segment and on the model side by side, and compares every answer.
#pragma once

#include <list>
#include <optional>
#include <string>
#include <vector>

#include "faults/model/model.h"
#include "faults/model/operation.h"
#include "faults/target/segments.h"

namespace lightning::faults {

class SequenceRunner {
 public:
  SequenceRunner(TestSegment& target, const Options& options, const std::vector<std::string>& keys, uint32_t clients);
  ~SequenceRunner();
  SequenceRunner(const SequenceRunner&) = delete;
  SequenceRunner& operator=(const SequenceRunner&) = delete;

  // What is wrong, or "".
  std::string Run(const Operation& operation);
  // Lets everything go; then all of the heap and all objects must be free, or hold what the model says.
  std::string Finish();

 private:
  struct HeldHandle {
    Handle handle;
    ObjectPtr object;
    uint32_t seat, identity;
  };
  struct HeldWriter {
    Writer writer;
    ObjectPtr object;
    uint32_t seat, identity;
  };
  struct HeldSubscription {
    Subscription subscription;
    uint32_t seat;
    uint64_t next, lost;
  };
  // Where a client sits. After Close it keeps its slot until its last handle and writer are gone.
  struct Seat {
    std::optional<Client> client;
    bool closed = false;
    uint32_t references = 0;  // handles and writers
    uint32_t identity = 0;    // of the client in the model, never used twice
  };

  // sequence_changes.cc
  std::string Put(Seat& seat, const Operation& operation, bool replace);
  std::string PutBatch(Seat& seat, const Operation& operation);
  std::string Create(Seat& seat, uint32_t index, const Operation& operation);
  std::string Seal(const Operation& operation);
  std::string Abort(const Operation& operation);
  std::string Delete(Seat& seat, const Operation& operation);
  std::string Evict(Seat& seat, const Operation& operation);
  std::string Invalid(Seat& seat, const Operation& operation);
  // Whether "full" is a fair answer; and what the store evicted on the way goes from the model.
  std::string JudgeFull(Seat& seat, Code code, uint64_t bytes, uint64_t more_objects, bool whole_pages);
  std::string FollowEvictions(Seat& seat, const std::vector<std::string>& just_put);
  Item MakeItem(const Operation& operation, uint64_t number) const;

  // sequence_runner.cc
  std::string Get(Seat& seat, uint32_t index, const Operation& operation);
  std::string TakeHandle(uint32_t index, const std::string& key, Result<Handle> handle);
  std::string GetBatch(Seat& seat, uint32_t index, const Operation& operation);
  std::string Release(const Operation& operation);
  std::string Contains(Seat& seat, const Operation& operation);
  std::string List(Seat& seat, const Operation& operation);
  std::string JudgeStats(Seat& seat, bool recovered);
  std::string Recover(Seat& seat);
  std::string CheckAll(Seat& seat);

  // sequence_clients.cc
  std::string Attach(uint32_t index);
  std::string Close(Seat& seat, uint32_t index);
  std::string Die(Seat& seat, uint32_t index);
  std::string Subscribe(Seat& seat, uint32_t index);
  std::string Unsubscribe(const Operation& operation);
  std::string NextEvent(const Operation& operation);
  void DropReference(uint32_t index);
  std::string DropHandle(std::list<HeldHandle>::iterator at);

  std::string Unexpected(const char* what, const Status& status) const;
  std::string Bytes(const HeldHandle& held) const;

  TestSegment& target_;
  const Options options_;
  const std::vector<std::string>& keys_;
  Model model_;
  std::vector<Seat> seats_;
  std::list<HeldHandle> handles_;
  std::list<HeldWriter> writers_;
  std::list<HeldSubscription> subscriptions_;
  uint32_t identities_ = 0;
  uint64_t evictions_ = 0;      // as far as the model has followed them
  uint64_t unsure_before_ = 0;  // events older than this may have been overwritten by a batch that was undone
};

}  // namespace lightning::faults
