// A client is killed at instructions chosen by chance, in each operation: what it did is there whole or not at all, the
// next operation of another client succeeds, exactly the dead client is recovered, and nothing leaks.
#include <gtest/gtest.h>

#include <algorithm>
#include <ostream>

#include "crashtests/crash_fixture.h"

namespace lightning::crash {
namespace {

constexpr uint64_t kOld = 1, kNew = 2;
constexpr int kSteppedTrials = 4;            // at least, each
constexpr uint64_t kSteppedBudget = 30'000;  // instructions of all of them, about
constexpr int kRunningTrials = 60;           // killed while they run freely

// What the common keys hold after a death: each old or new, and which of the two belongs together.
struct Operation {
  const char* name;
  std::vector<const char*> setup;  // by the victim, before it is traced
  const char* command;
  // The keys that it changes, all of them or none.
  std::vector<std::string> keys;
  bool removes = false;  // else the new value is kNew
  bool creates = false;  // the keys are absent before
};
void PrintTo(const Operation& operation, std::ostream* out) { *out << operation.name; }

const Operation kOperations[] = {
    {"PutOfANewKey", {}, "put new 100 2", {"new"}, false, true},
    {"PutThatReplaces", {}, "put a 100 2", {"a"}},
    {"PutOfALargeValue", {}, "put a 40000 2", {"a"}},
    {"Batch", {}, "batch b 6 100 2", {"b0", "b1", "b2", "b3", "b4", "b5"}},
    {"BatchOfNewKeys", {}, "batch n 6 100 2", {"n0", "n1", "n2", "n3", "n4", "n5"}, false, true},
    {"Delete", {}, "delete a", {"a"}, true},
    {"Create", {}, "create new 100 2", {}},
    {"CreateOfALargeValue", {}, "create new 70000 2", {}},
    {"Seal", {"create new 100 2"}, "seal new", {"new"}, false, true},
    {"SealOfALargeValue", {"create new 70000 2"}, "seal new", {"new"}, false, true},
    {"Abort", {"create new 100 2"}, "abort new", {}},
    {"Get", {}, "hold a", {}},
    {"Subscribe", {}, "subscribe", {}},
    {"PutWithASubscriber", {"subscribe"}, "put a 100 2", {"a"}},
    {"Recover", {"put a 100 1", "delete new"}, "recover", {}},
    {"Detach", {"put a 100 1", "subscribe", "hold a"}, "close", {}},
};

class KillTest : public CrashTest, public testing::WithParamInterface<Operation> {
 protected:
  static std::vector<std::string> CommonKeys() { return {"a", "b0", "b1", "b2", "b3", "b4", "b5"}; }

  void PutOldValues() {
    for (const std::string& key : CommonKeys()) ASSERT_TRUE(Put(key, 100, kOld).ok());
  }

  // A victim at the operation's first instruction. `warm`: it has ids, blocks and credits at hand, which makes most
  // operations several times shorter.
  std::unique_ptr<ClientProcess> Victim(bool warm) {
    std::unique_ptr<ClientProcess> victim = StartClient();
    if (warm) {
      for (const char* command : {"put own 100 9", "put own 100 9", "delete own"})
        EXPECT_EQ(victim->Ask(command).substr(0, 2), "ok");
    }
    for (const char* command : GetParam().setup) static_cast<void>(victim->Ask(command));
    EXPECT_TRUE(victim->StopAtStart(GetParam().command));
    return victim;
  }

  // Whole or not at all. The first look is the operation that heals.
  void ExpectWholeOrNothing() {
    const Operation& operation = GetParam();
    int changed = 0, unchanged = 0;
    for (const std::string& key : operation.keys) {
      const bool first = key == operation.keys.front();
      const std::optional<uint64_t> seed = first ? Timed([&] { return Read(key); }) : Read(key);
      const bool is_new = operation.removes ? !seed : seed == kNew;
      const bool is_old = operation.creates ? !seed : seed == kOld;
      EXPECT_TRUE(is_new || is_old) << key << " holds " << seed.value_or(0);
      changed += is_new;
      unchanged += is_old;
    }
    EXPECT_TRUE(changed == 0 || unchanged == 0) << changed << " keys of " << operation.keys.size() << " have changed";
    for (const std::string& key : CommonKeys()) {
      const bool touched = std::count(operation.keys.begin(), operation.keys.end(), key) != 0;
      if (!touched) {
        EXPECT_EQ(Read(key), kOld) << key;
      }
    }
    if (operation.keys.empty() || !operation.creates) {
      EXPECT_EQ(Read("new"), std::nullopt) << "what is not sealed must not be seen";
    }
  }

  // Kills it after so many instructions, or so long after it began to run freely.
  static constexpr bool IsStepped(uint64_t) { return true; }
  static constexpr bool IsStepped(std::chrono::nanoseconds) { return false; }
  static void KillAfter(ClientProcess& victim, uint64_t instructions) {
    victim.Steps(instructions);
    victim.Kill();
  }
  static void KillAfter(ClientProcess& victim, std::chrono::nanoseconds delay) {
    const auto until = std::chrono::steady_clock::now() + delay;
    victim.RunOn();
    while (std::chrono::steady_clock::now() < until) continue;
    victim.Kill();
  }

  template <typename Moment>
  void Trial(Moment moment) {
    PutOldValues();
    const Stats before = GetStats();
    const uint64_t bystander = BystanderState();
    const std::unique_ptr<ClientProcess> victim = Victim(/*warm=*/IsStepped(moment));
    const std::optional<SlotIndex> slot = probe_->SlotOf(victim->pid());
    ASSERT_TRUE(slot.has_value());
    KillAfter(*victim, moment);
    const bool detached = probe_->State(*slot).life == SlotLife::kFree;

    ExpectWholeOrNothing();
    // Every key can be written at once, also one that the dead had created.
    EXPECT_TRUE(Timed([&] { return Put("new", 100, kOld); }).ok());
    EXPECT_TRUE(Timed([&] { return Put("a", 100, kOld); }).ok());
    const Result<RecoveryReport> report = survivor_->Recover();
    ASSERT_TRUE(report.ok()) << report.status().ToString();
    EXPECT_EQ(report->alive, 2u);
    EXPECT_EQ(GetStats().recoveries - before.recoveries, detached ? 0u : 1u) << "exactly the dead client";
    EXPECT_EQ(BystanderState(), bystander);
    ExpectSound();
    ExpectNothingLeaks();
  }
};

TEST_P(KillTest, AtAnyInstructionItIsWholeOrNotAtAllAndNothingLeaks) {
  PutOldValues();
  uint64_t length = 0;
  {
    const std::unique_ptr<ClientProcess> whole = Victim(/*warm=*/true);
    length = whole->Steps(10'000'000);
    ASSERT_GT(length, 50u);
    whole->Detach(/*stopped=*/false);
    EXPECT_EQ(whole->Receive().substr(0, 2), "ok");
  }
  ExpectNothingLeaks();
  RecordProperty("instructions", std::to_string(length));
  uint64_t stepped = 0;
  for (int i = 0; (i < kSteppedTrials || stepped < kSteppedBudget) && !HasFailure(); ++i) {
    const uint64_t instructions = random_() % (length + 1);
    SCOPED_TRACE(testing::Message() << GetParam().command << ", killed after " << instructions << " of " << length
                                    << " instructions");
    Trial(instructions);
    stepped += instructions + length / 8;
  }
  ReportHealTimes();
}

// At full speed and in the middle of whatever the processor has in flight, which stepping never shows: the moment is
// left to chance on purpose.
TEST_P(KillTest, AtAnyMomentItIsWholeOrNotAtAllAndNothingLeaks) {
  PutOldValues();
  std::chrono::nanoseconds duration{0};
  {
    const std::unique_ptr<ClientProcess> whole = Victim(/*warm=*/false);
    const auto begin = std::chrono::steady_clock::now();
    whole->RunOn();
    ASSERT_TRUE(whole->WaitForEnd());
    duration = std::chrono::steady_clock::now() - begin;
    whole->Detach(/*stopped=*/false);
    EXPECT_EQ(whole->Receive().substr(0, 2), "ok");
  }
  ExpectNothingLeaks();
  for (int i = 0; i < kRunningTrials && !HasFailure(); ++i) {
    const std::chrono::nanoseconds delay(random_() % static_cast<uint64_t>(duration.count()));
    SCOPED_TRACE(testing::Message() << GetParam().command << ", killed after " << delay.count() << " ns");
    Trial(delay);
  }
  ReportHealTimes();
}

INSTANTIATE_TEST_SUITE_P(Operations, KillTest, testing::ValuesIn(kOperations),
                         [](const auto& operation) { return std::string(operation.param.name); });

}  // namespace
}  // namespace lightning::crash
