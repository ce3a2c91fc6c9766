// What must be true after everybody's death at one instant: some client can heal the segment, and then every key holds
// what it may hold, nothing leaked, every invariant holds, and work goes on. To a given depth the healer may die as
// well, after each of its stores, and the next one must do.
#pragma once

#include <chrono>
#include <unordered_set>

#include "faults/sim/simulation.h"

namespace lightning::faults {

struct CrashCounts {
  uint64_t states = 0;        // that recoveries passed through
  uint64_t distinct = 0;      // recovered and judged, the first ones included
  uint64_t by_depth[8] = {};  // distinct ones
  double seconds = 0;         // of checking
};

class CrashJudge final : public CrashObserver, private SharedMemoryHooks {
 public:
  // `depth`: how many healers may die in turn. `nested_share`: of the states, one in so many has its healer killed.
  CrashJudge(uint32_t depth, uint64_t nested_share) : depth_(depth), nested_share_(nested_share) {}

  // From then on it looks at nothing any more.
  void set_deadline(std::chrono::steady_clock::time_point deadline) { deadline_ = deadline; }
  bool IsNew(uint64_t hash) override {
    return seen_.insert(hash).second && std::chrono::steady_clock::now() < deadline_;
  }
  std::string Check(CrashImage& image, const Record& record) override;
  const CrashCounts& counts() const { return counts_; }

 private:
  // One healer, from attaching to leaving; afterwards the image is what it was.
  std::string Heal(uint32_t level, uint64_t choice);
  std::string HealAndJudge(Client& client, uint64_t choice);
  // What stands under each of the plan's keys.
  std::string Find(Client& client, std::vector<const KnownItem*>* found);
  std::string SurvivorsGoOn(Client& client);
  void SetStepping(bool stepping);
  void AfterStore(bool changed);

  uint64_t Load(const void* place, uint32_t size) override;
  void Store(void* place, uint32_t size, uint64_t value) override;
  uint64_t Exchange(void* place, uint32_t size, uint64_t value) override;
  uint64_t FetchAdd(void* place, uint32_t size, uint64_t value) override;
  uint64_t CompareExchange(void* place, uint32_t size, uint64_t expected, uint64_t desired) override;
  void Fence() override {}
  void Payload(void* place, uint64_t size) override;
  uint64_t Ticks() override { return ++ticks_; }
  uint64_t OffsetOf(const void* place) const { return image_->segment().OffsetOf(place); }
  void FinishPayload();

  const uint32_t depth_;
  const uint64_t nested_share_;
  std::chrono::steady_clock::time_point deadline_ = std::chrono::steady_clock::time_point::max();
  CrashImage* image_ = nullptr;
  const Record* record_ = nullptr;
  std::unordered_set<uint64_t> seen_;
  uint32_t level_ = 0;     // of the healer at work
  bool stepping_ = false;  // its stores are crash points
  uint64_t payload_ = 0, payload_size_ = 0;
  std::vector<std::byte> payload_before_;
  uint64_t ticks_ = 0;
  std::string nested_error_;
  CrashCounts counts_;
  static constexpr uint32_t kLevels = 8;
  std::vector<const KnownItem*> found_[kLevels], early_[kLevels];  // by level: an outer healer waits in the middle
};

}  // namespace lightning::faults
