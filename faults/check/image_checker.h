// Judges one crash state: the bytes of a segment at the instant of a death. Everything happens on copies, by clients
// that come fresh, with the harness saying who is alive.
#pragma once

#include <string>
#include <vector>

#include "faults/check/observe.h"
#include "faults/plan/outcomes.h"
#include "faults/report/step_record.h"
#include "faults/target/segments.h"

namespace lightning::faults {

// What was so when the operation began.
struct Baseline {
  SeenContent content;
  uint64_t event_head = 0;
};

// What a living client has pinned: once it is no longer what stands under its key, it stays retired until let go.
struct PinnedObject {
  std::string key;
  uint64_t version = 0;
  uint64_t bytes = 0;  // of the heap
};

struct JudgeOptions {
  std::vector<SlotIndex> alive;      // slots of clients that live on, apart from whoever checks
  std::vector<PinnedObject> pinned;  // by those
  std::vector<NamedItem> reserved;   // created by those, and not sealed
  bool evicts = false;               // puts into a full segment evict
  bool somebody_died = false;        // before the operation began
};

class ImageChecker {
 public:
  ImageChecker(const Geometry& geometry, JudgeOptions options);

  // At the marker before an operation: recovers a copy, and learns from it the versions that there are. An error text,
  // or "".
  std::string Begin(const std::byte* image, Expectation expectation);
  // What is wrong with this state, or "". With `thorough`, also on further copies: a survivor that writes first, and
  // survivors of a client that is stopped rather than dead.
  std::string Check(const std::byte* image, bool thorough);
  // After a Check that found nothing wrong: which of the allowed contents the recovery left.
  PointOutcome outcome() const { return outcome_; }
  // At the marker after it: the operation has answered `code`. `*content` is what is there now.
  std::string CheckEnd(const std::byte* image, Code code, Content* content);

  // The same judgement over a client of a real segment whose dead were just recovered. For real kills.
  std::string JudgeContent(Client& client, const Segment& segment);

 private:
  std::string Recovered(const std::byte* image);
  std::string WriteFirst(const std::byte* image);
  std::string StoppedVictim(const std::byte* image);
  std::string JudgeAccounts(Client& client, const Content& content, uint64_t retired);
  std::string JudgeVersions(const SeenContent& seen) const;
  std::string EarlyReads(Client& client, SeenContent* reads);
  std::string PutGetDelete(Client& client, bool may_be_full);
  std::string SurvivorsGoOn(Client& client, const SeenContent& seen);
  std::string Empty(Client client);
  void Load(const std::byte* image);
  CheckReport CheckCopy();
  void NameOutcomes(const Content& before);
  uint64_t PinnedRetired(const SeenContent& seen) const;

  bool IsReserved(const std::string& key) const;

  const JudgeOptions options_;
  Expectation expectation_;
  std::vector<Content> allowed_;
  std::vector<PointOutcome> outcomes_;  // of `allowed_`, as a report names them
  PointOutcome outcome_ = PointOutcome::kBefore;
  std::unique_ptr<MemorySegment> copy_;
  const Geometry geometry_;
  Baseline baseline_;
};

}  // namespace lightning::faults
