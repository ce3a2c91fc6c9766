// A client that is stopped with a lock in its hand is alive: nobody takes the lock from it, whoever needs the lock gets
// kTimeout at the deadline, and when it is continued it finishes as if nothing had been.
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <ostream>

#include "crashtests/crash_fixture.h"

namespace lightning::crash {
namespace {

constexpr std::chrono::milliseconds kShort{30};

struct Stop {
  const char* name;
  const char* command;
  const char* lock;  // in its hand when it is stopped
};
void PrintTo(const Stop& stop, std::ostream* out) { *out << stop.name; }

const Stop kStops[] = {
    {"PutWithItsSlot", "put a 100 2", "slot"},           {"PutWithTheBucket", "put a 100 2", "bucket"},
    {"PutWithTheCentre", "put a 100 2", "central"},      {"PutWithTheEvents", "put a 100 2", "events"},
    {"LargePutWithTheBucket", "put a 9000 2", "bucket"}, {"BatchWithABucket", "batch b 4 100 2", "bucket"},
    {"DeleteWithTheBucket", "delete a", "bucket"},       {"CreateWithTheBucket", "create new 100 2", "bucket"},
    {"SubscribeWithTheEvents", "subscribe", "events"},
};

class StoppedTest : public CrashTest, public testing::WithParamInterface<Stop> {
 protected:
  // A client in which the operation has the lock in its hand, stopped there by its tracer.
  std::unique_ptr<ClientProcess> ClientWithTheLock(SlotIndex* slot) {
    std::unique_ptr<ClientProcess> process = StartClient();
    // With something at hand it does not need the centre, and comes to the other locks sooner.
    if (std::string(GetParam().lock) != "central") {
      for (const char* command : {"put own 100 9", "delete own"}) EXPECT_EQ(process->Ask(command).substr(0, 2), "ok");
    }
    const std::optional<SlotIndex> its = probe_->SlotOf(process->pid());
    EXPECT_TRUE(its.has_value());
    *slot = its.value_or(0);
    EXPECT_TRUE(process->StopAtStart(GetParam().command));
    while (!Has(*slot, GetParam().lock)) {
      if (process->Step()) continue;
      ADD_FAILURE() << "it never held that lock";
      break;
    }
    return process;
  }

  bool Has(SlotIndex slot, const std::string& kind) const {
    const std::vector<std::string> held = probe_->Held(slot);
    return std::find(held.begin(), held.end(), kind) != held.end();
  }
};

TEST_P(StoppedTest, OthersGiveUpAtTheirDeadlineAndItIsNeverRecovered) {
  // Somebody listens, so that writers take the lock of the events too.
  Result<Subscription> subscription = bystander_->Subscribe();
  ASSERT_TRUE(subscription.ok());
  for (const char* key : {"a", "b0", "b1", "b2", "b3"}) ASSERT_TRUE(Put(key, 100, 1).ok());
  const uint64_t recoveries = GetStats().recoveries;
  SlotIndex slot = 0;
  const std::unique_ptr<ClientProcess> process = ClientWithTheLock(&slot);
  const uint64_t state = probe_->segment().slot(slot).state.Load();
  const std::vector<std::string> held = probe_->Held(slot);
  process->Detach(/*stopped=*/true);

  // Whoever needs the same lock waits, but not for ever.
  Options options = options_;
  options.lock_timeout = kShort;
  const Result<Store> store = Store::Open(name_.path(), options);
  Result<Client> impatient = store->Connect();
  ASSERT_TRUE(impatient.ok()) << impatient.status().ToString();
  int waited = 0;
  for (const char* key : {"a", "b0", "b1", "b2", "b3", "new"}) {
    const Status status = impatient->Put(key, "third").status();
    EXPECT_TRUE(status.ok() || status.code() == Code::kTimeout) << status.ToString();
    waited += status.code() == Code::kTimeout;
    const Status got = impatient->Get("a").status();
    EXPECT_TRUE(got.ok() || got.code() == Code::kTimeout || got.code() == Code::kNotFound) << got.ToString();
    const Result<RecoveryReport> report = impatient->Recover();
    EXPECT_TRUE(report.ok() || report.code() == Code::kTimeout) << report.status().ToString();
    if (report.ok()) {
      EXPECT_EQ(report->recovered, 0u);
    }
  }
  // Its own slot's lock is in nobody's way; the others are.
  EXPECT_EQ(waited > 0, std::string(GetParam().lock) != "slot");
  EXPECT_EQ(probe_->segment().slot(slot).state.Load(), state) << "a living client was recovered";
  EXPECT_EQ(probe_->Held(slot), held) << "a lock was taken from a living client";
  EXPECT_TRUE(impatient->Check().busy);

  process->Signal(SIGCONT);
  EXPECT_EQ(process->Receive().substr(0, 2), "ok");
  EXPECT_EQ(GetStats().recoveries, recoveries);
  EXPECT_TRUE(probe_->Held(slot).empty());
  impatient->Close();
  EXPECT_EQ(process->Ask("close"), "ok");
  *subscription = Subscription();
  EXPECT_TRUE(Put("a", 100, 3).ok());
  EXPECT_EQ(Read("a"), 3u);
  ASSERT_TRUE(survivor_->Recover().ok());
  EXPECT_EQ(GetStats().recoveries, recoveries);
  ExpectSound();
  ExpectNothingLeaks();
}

// The same, but it dies of it in the end.
TEST_P(StoppedTest, KilledWhileStoppedItIsRecovered) {
  Result<Subscription> subscription = bystander_->Subscribe();
  ASSERT_TRUE(subscription.ok());
  for (const char* key : {"a", "b0", "b1", "b2", "b3"}) ASSERT_TRUE(Put(key, 100, 1).ok());
  const uint64_t recoveries = GetStats().recoveries;
  SlotIndex slot = 0;
  const std::unique_ptr<ClientProcess> process = ClientWithTheLock(&slot);
  process->Detach(/*stopped=*/true);
  process->Kill();
  EXPECT_TRUE(Timed([&] { return Put("a", 100, 3); }).ok());
  EXPECT_TRUE(Timed([&] { return Put("b0", 100, 3); }).ok());
  ASSERT_TRUE(survivor_->Recover().ok());
  EXPECT_EQ(GetStats().recoveries, recoveries + 1);
  *subscription = Subscription();
  ExpectSound();
  ExpectNothingLeaks();
  ReportHealTimes();
}

INSTANTIATE_TEST_SUITE_P(Locks, StoppedTest, testing::ValuesIn(kStops),
                         [](const auto& stop) { return std::string(stop.param.name); });

}  // namespace
}  // namespace lightning::crash
