// Who counts as alive for a check. The invariants themselves are tested in invariants_test.cc.
#include "store/client/check.h"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <vector>

#include "store/log/words.h"
#include "store/segment/segment_file.h"

namespace lightning {
namespace {

// Everyone is dead; something may happen while that is found out.
class Undertaker final : public Kernel {
 public:
  std::function<void()> meanwhile;

  Status Announce(uint32_t) override { return {}; }
  void Retract(uint32_t) override {}
  Status BeginAttach(Nanoseconds) override { return {}; }
  void EndAttach() override {}
  ClientIdentity Self() override { return {}; }
  bool IsAlive(uint32_t, const ClientIdentity*) override {
    if (meanwhile) meanwhile();
    return false;
  }
  Nanoseconds Now() override { return Nanoseconds(0); }
  void Pause(Nanoseconds) override {}
  void Wait(const Atomic<uint32_t>&, uint32_t, Nanoseconds) override {}
  void WakeAll(const Atomic<uint32_t>&) override {}
  bool IsSameProcess() const override { return true; }
};

class MayBeAliveTest : public testing::Test {
 protected:
  void SetUp() override {
    options_.size = 1 << 20;
    options_.max_objects = options_.max_clients = options_.max_pins = options_.event_slots = 4;
    const Result<Geometry> geometry = Geometry::Compute(options_);
    ASSERT_TRUE(geometry.ok());
    memory_.resize(geometry->size / sizeof(Page));
    FormatSegment(bytes(), *geometry, options_);
    segment_ = Segment(bytes(), *geometry);
    SetState({SlotLife::kActive, 1});
  }
  std::byte* bytes() { return reinterpret_cast<std::byte*>(memory_.data()); }
  void SetState(const SlotState& state) {
    const uint64_t word = state.Encode();
    memcpy(bytes() + segment_.OffsetOf(&segment_.slot(2).state), &word, sizeof word);
  }

  struct alignas(4096) Page {
    std::byte bytes[4096];
  };
  Options options_;
  std::vector<Page> memory_;
  Segment segment_;
  Undertaker kernel_;
};

TEST_F(MayBeAliveTest, ADeadClientIsDead) { EXPECT_FALSE(MayBeAlive(segment_, 2, kernel_)); }

// Found by the kills part of the campaign: a client attached to a slot whose identity was just being read, so that its
// state was paired with the pid of whoever had the slot before, and Check reported a death that there was not.
TEST_F(MayBeAliveTest, ASlotThatChangesHandsMeanwhileIsNot) {
  kernel_.meanwhile = [&] { SetState({SlotLife::kAttaching, 2}); };
  EXPECT_TRUE(MayBeAlive(segment_, 2, kernel_));
}

}  // namespace
}  // namespace lightning
