// Recoverers that are killed while they recover, and others killed while they recover those; several dead at once.
#include <gtest/gtest.h>

#include <csignal>

#include "crashtests/crash_fixture.h"

namespace lightning::crash {
namespace {

// What the first to die was doing.
const char* const kDeeds[] = {"put a 100 2", "put new 100 2", "batch b 4 100 2", "delete a", "create new 70000 2"};

class RecovererTest : public CrashTest {
 protected:
  static constexpr uint64_t kOld = 1, kNew = 2;

  void PutOldValues() {
    ASSERT_TRUE(Put("a", 100, kOld).ok());
    for (const char* key : {"b0", "b1", "b2", "b3"}) ASSERT_TRUE(Put(key, 100, kOld).ok());
  }

  void ExpectOldOrNew() {
    const std::optional<uint64_t> a = Read("a");
    EXPECT_TRUE(!a || a == kOld || a == kNew);
    const std::optional<uint64_t> first = Read("b0");
    EXPECT_TRUE(first == kOld || first == kNew);
    for (const char* key : {"b1", "b2", "b3"}) EXPECT_EQ(Read(key), first) << "a batch is there whole or not at all";
  }

  // A client that dies somewhere inside `command`. With a lock in its hand when `locked`.
  void DieIn(const std::string& command, bool locked) {
    const std::unique_ptr<ClientProcess> victim = StartClient();
    ASSERT_EQ(victim->Ask("put own 100 7").substr(0, 2), "ok");
    ASSERT_EQ(victim->Ask("delete own").substr(0, 2), "ok");
    ASSERT_TRUE(victim->StopAtStart(command));
    const std::optional<SlotIndex> slot = probe_->SlotOf(victim->pid());
    ASSERT_TRUE(slot.has_value());
    const uint64_t instructions = 200 + random_() % 3000;
    for (uint64_t i = 0; (i < instructions || (locked && probe_->Held(*slot).empty())) && victim->Step();) ++i;
    victim->Kill();
  }
};

TEST_F(RecovererTest, OneThatIsKilledIsReplacedByTheNext) {
  for (const char* deed : kDeeds) {
    for (int i = 0; i < 3 && !HasFailure(); ++i) {
      PutOldValues();
      const uint64_t recoveries = GetStats().recoveries;
      DieIn(deed, /*locked=*/true);
      {
        const std::unique_ptr<ClientProcess> recoverer = StartClient();
        ASSERT_TRUE(recoverer->StopAtStart("recover"));
        const uint64_t instructions = random_() % 5000;
        SCOPED_TRACE(testing::Message() << deed << "; its recoverer was killed after " << instructions);
        recoverer->Steps(instructions);
        recoverer->Kill();
      }
      ExpectOldOrNew();
      EXPECT_TRUE(Timed([&] { return Put("a", 100, kOld); }).ok());
      ASSERT_TRUE(survivor_->Recover().ok());
      // Both, and one of them twice if its recoverer died between counting it and freeing its slot.
      EXPECT_GE(GetStats().recoveries - recoveries, 2u);
      ExpectSound();
      ExpectNothingLeaks();
    }
  }
  ReportHealTimes();
}

TEST_F(RecovererTest, AChainOfKilledRecoverersEndsWithTheFirstThatLives) {
  for (size_t trial = 0; trial < 8 && !HasFailure(); ++trial) {
    PutOldValues();
    const uint64_t recoveries = GetStats().recoveries;
    const uint64_t bystander = BystanderState();
    DieIn(kDeeds[trial % std::size(kDeeds)], /*locked=*/true);
    for (int depth = 0; depth < 4; ++depth) {
      const std::unique_ptr<ClientProcess> recoverer = StartClient();
      ASSERT_TRUE(recoverer->StopAtStart("recover"));
      recoverer->Steps(random_() % 3000);
      recoverer->Kill();
    }
    ExpectOldOrNew();
    ASSERT_TRUE(survivor_->Recover().ok());
    EXPECT_GE(GetStats().recoveries - recoveries, 5u);
    EXPECT_EQ(BystanderState(), bystander);
    ExpectSound();
    ExpectNothingLeaks();
  }
}

TEST_F(RecovererTest, ItIsNotDisturbedByAnotherWhileItIsStopped) {
  PutOldValues();
  const uint64_t recoveries = GetStats().recoveries;
  DieIn("put a 100 2", /*locked=*/true);
  const std::unique_ptr<ClientProcess> recoverer = StartClient();
  ASSERT_TRUE(recoverer->StopAtStart("recover"));
  while (probe_->Count(SlotLife::kRecovering) == 0) ASSERT_TRUE(recoverer->Step());
  recoverer->Detach(/*stopped=*/true);
  // The claim stands for as long as its holder lives.
  EXPECT_TRUE(survivor_->Recover().ok());
  EXPECT_EQ(probe_->Count(SlotLife::kRecovering), 1);
  EXPECT_EQ(GetStats().recoveries, recoveries);
  recoverer->Signal(SIGCONT);
  EXPECT_EQ(recoverer->Receive(), "ok 1 3");
  EXPECT_EQ(GetStats().recoveries, recoveries + 1);
  recoverer->Kill();
  ASSERT_TRUE(survivor_->Recover().ok());
  ExpectSound();
  ExpectNothingLeaks();
}

TEST_F(RecovererTest, SeveralDeadAtOnceAreHealedByOneRecover) {
  PutOldValues();
  const uint64_t recoveries = GetStats().recoveries;
  std::vector<std::unique_ptr<ClientProcess>> victims;
  for (int i = 0; i < 6; ++i) {
    victims.push_back(StartClient());
    ASSERT_EQ(victims.back()->Ask("put own" + std::to_string(i) + " 100 3").substr(0, 2), "ok");
    ASSERT_EQ(victims.back()->Ask("hold a"), "ok");
    ASSERT_EQ(victims.back()->Ask("create unsealed" + std::to_string(i) + " 100 3"), "ok");
  }
  ASSERT_TRUE(Put("a", 100, kNew).ok());  // what they pin is retired now
  // Each stops somewhere else; nobody waits for anybody, since each has its own key.
  for (size_t i = 0; i < victims.size(); ++i) {
    ASSERT_TRUE(victims[i]->StopAtStart("put own" + std::to_string(i) + " 100 4"));
    victims[i]->Steps(random_() % 2000);
  }
  for (const auto& victim : victims) victim->Signal(SIGKILL);
  for (const auto& victim : victims) victim->Wait();
  const Result<RecoveryReport> report = survivor_->Recover();
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  EXPECT_EQ(report->recovered, 6u);
  EXPECT_EQ(report->alive, 2u);
  EXPECT_EQ(GetStats().recoveries, recoveries + 6);
  for (int i = 0; i < 6; ++i) {
    const std::optional<uint64_t> seed = Read("own" + std::to_string(i));
    EXPECT_TRUE(seed == 3 || seed == 4);
  }
  ExpectSound();
  ExpectNothingLeaks();
}

TEST_F(RecovererTest, WhenEverySlotIsADeadClientsANewClientAttaches) {
  bystander_->Close();
  survivor_->Close();
  for (int trial = 0; trial < 4 && !HasFailure(); ++trial) {
    std::vector<std::unique_ptr<ClientProcess>> victims;
    for (uint32_t i = 0; i < options_.max_clients; ++i) victims.push_back(StartClient());
    for (size_t i = 0; i < victims.size(); ++i)
      ASSERT_EQ(victims[i]->Ask("put key" + std::to_string(i) + " 100 1").substr(0, 2), "ok");
    for (size_t i = 0; i < victims.size(); ++i) {
      const std::string key = "key" + std::to_string(i);
      ASSERT_TRUE(victims[i]->StopAtStart("put " + key + " 100 2"));
      victims[i]->Steps(random_() % 2000);
    }
    for (const auto& victim : victims) victim->Signal(SIGKILL);
    for (const auto& victim : victims) victim->Wait();
    EXPECT_EQ(probe_->Count(SlotLife::kFree), 0);
    const Result<Store> store = Store::Open(name_.path(), options_);
    ASSERT_TRUE(store.ok());
    Result<Client> client = store->Connect();
    ASSERT_TRUE(client.ok()) << client.status().ToString();
    EXPECT_EQ(client->GetStats()->clients, 1u);
    EXPECT_EQ(client->GetStats()->recoveries, static_cast<uint64_t>(trial + 1) * options_.max_clients);
    EXPECT_TRUE(client->Check().ok);
    for (uint32_t i = 0; i < options_.max_clients; ++i) EXPECT_TRUE(client->Delete("key" + std::to_string(i)).ok());
    EXPECT_EQ(client->GetStats()->bytes_free, client->GetStats()->bytes_total);
  }
}

// An attacher recovers the dead before it has a slot of its own; it may die of it too.
TEST_F(RecovererTest, AnAttacherThatIsKilledWhileItRecoversIsReplacedByTheNext) {
  bystander_->Close();
  survivor_->Close();
  for (int trial = 0; trial < 2 && !HasFailure(); ++trial) {
    // All living at once, so that none of them makes room by recovering another.
    std::vector<std::unique_ptr<ClientProcess>> victims;
    for (uint32_t i = 0; i < options_.max_clients; ++i) {
      victims.push_back(StartClient());
      ASSERT_EQ(victims.back()->Ask("loop put key" + std::to_string(i) + " 100 #"), "ok");
    }
    for (const auto& victim : victims) victim->Signal(SIGSTOP);
    for (const auto& victim : victims) victim->Kill();
    ClientProcess attacher({name_.path()});
    ASSERT_TRUE(attacher.StopAtStart("attach"));
    // Until it has claimed a slot that is not its own, and then some.
    ASSERT_EQ(probe_->Count(SlotLife::kFree), 0);
    while (probe_->Count(SlotLife::kRecovering) == 0)
      ASSERT_TRUE(attacher.Step()) << "it attached without recovering anybody";
    attacher.Steps(random_() % 4000);
    attacher.Kill();
    const std::unique_ptr<ClientProcess> next = StartClient();
    EXPECT_EQ(next->Ask("recover").substr(0, 3), "ok ");  // if there was a free slot already, it recovered nobody
    EXPECT_EQ(next->Ask("check"), "ok");
    EXPECT_EQ(next->Ask("put a 100 1").substr(0, 2), "ok");
    EXPECT_EQ(next->Ask("close"), "ok");
  }
}

}  // namespace
}  // namespace lightning::crash
