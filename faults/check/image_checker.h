// Judges one crash state: the bytes of a segment at the instant of a death. Everything happens on copies, by clients
// that come fresh, with the harness saying who is alive.
#pragma once

#include <string>
#include <vector>

#include "faults/check/observe.h"
#include "faults/plan/step_plan.h"
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
  // Who is alive apart from whoever checks: the client of the plan's bystander.
  SlotIndex bystander = 0;
  std::vector<PinnedObject> pinned;  // by the bystander
};

class ImageChecker {
 public:
  ImageChecker(const StepPlan& plan, const Geometry& geometry, JudgeOptions options);

  // At the first marker: recovers a copy, and learns from it the versions that there are. An error text, or "".
  std::string Begin(const std::byte* image);
  // What is wrong with this state, or "". With `thorough`, also on further copies: a survivor that writes first, and
  // survivors of a client that is stopped rather than dead.
  std::string Check(const std::byte* image, bool thorough);
  // At the second marker: the operation has happened.
  std::string CheckEnd(const std::byte* image);

  // The same judgement over a client of a real segment whose dead were just recovered. For real kills.
  std::string JudgeContent(Client& client, const Segment& segment);

 private:
  std::string Recovered(const std::byte* image);
  std::string WriteFirst(const std::byte* image);
  std::string StoppedVictim(const std::byte* image);
  std::string JudgeAccounts(Client& client, const SeenContent& seen, uint64_t retired);
  std::string JudgeVersions(const SeenContent& seen) const;
  std::string EarlyReads(Client& client, SeenContent* reads);
  std::string SurvivorsGoOn(Client& client, const SeenContent& seen);
  std::string Empty(Client client);
  void Load(const std::byte* image);
  CheckReport CheckCopy();
  uint64_t PinnedRetired(const SeenContent& seen) const;

  const StepPlan& plan_;
  JudgeOptions options_;
  std::unique_ptr<MemorySegment> copy_;
  const Geometry geometry_;
  Baseline baseline_;
};

}  // namespace lightning::faults
