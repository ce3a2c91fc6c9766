#include "pkeys_tests/discipline.h"

#include <gtest/gtest.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <optional>
#include <string>

#include "lightning/lightning.h"
#include "pkeys_tests/isolation_fixture.h"
#include "store/client/core.h"
#include "store/gate/process_key.h"
#include "store/segment/segment_file.h"
#include "store/testing/pointer_jumps.h"

namespace lightning::pkeys {
namespace {

class DisciplineTest : public testing::TestWithParam<Isolation> {
 protected:
  void SetUp() override {
    if (GetParam() == Isolation::kKeys && !MachineHasKeys())
      GTEST_SKIP() << "this machine has no memory protection keys";
    options_.size = 1 << 20;
    options_.max_objects = 16;
    options_.max_clients = 4;
    options_.max_pins = 16;
    options_.event_slots = 4;
    options_.eviction = Eviction::kLru;
    options_.isolation = GetParam();
    ASSERT_TRUE(Store::Open(path_, options_).ok());
  }
  void TearDown() override { unlink(path_.c_str()); }

  // What a client is made of, so that its gate is known before it attaches.
  ClientParts Parts() const {
    Result<OpenedSegment> opened = OpenSegmentFile(path_);
    ClientParts parts;
    parts.geometry = opened->geometry;
    parts.gate = std::move(*Gate::Map(opened->fd.get(), opened->geometry, options_));
    parts.path = path_;
    ScopedFd liveness = std::move(OpenSegmentFile(path_)->fd);
    parts.kernel = MakeLinuxKernel(std::move(liveness), std::move(opened->fd));
    return parts;
  }

  const std::string path_ = "/dev/shm/lightning-discipline." + std::to_string(getpid());
  Options options_;
};
INSTANTIATE_TEST_SUITE_P(Modes, DisciplineTest, testing::ValuesIn(ModesToRun()),
                         [](const auto& mode) { return IsolationName(mode.param); });

// What a client does in its life, by way of its branches: small and large, new and replaced, full, heard by a
// subscriber. Returns how many of the calls did not do what they should.
int EveryOperation(Client& client, bool with_large) {
  int wrong = 0;
  const std::string small(100, 's'), large(66'000, 'l');
  std::optional<Subscription> subscription;
  if (Result<Subscription> made = client.Subscribe(); made.ok()) subscription.emplace(std::move(*made));
  wrong += !subscription.has_value();
  PutOptions metadata;
  metadata.metadata = AsBytes("metadata");
  const Result<uint64_t> version = client.Put("a", small);
  wrong += !version.ok() || !client.Replace("a", AsBytes(small), *version).ok();
  wrong += client.Replace("a", AsBytes(small), 1).ok();
  wrong += !client.Put(std::string(200, 'k'), small, metadata).ok();
  if (with_large) wrong += !client.Put("large", large).ok();
  const BatchItem items[] = {{"b0", AsBytes(small), {}}, {"b1", AsBytes(small), AsBytes("metadata")}};
  wrong += !client.PutBatch(items).ok();
  for (const uint64_t size : {uint64_t{100}, uint64_t{66'000}}) {
    for (const bool seal : {true, false}) {
      Result<Writer> writer = client.Create("created", size);
      wrong += !writer.ok() || client.Create("created", size).ok();
      if (writer.ok()) wrong += seal ? !writer->Seal().ok() : !writer->Abort().ok();
      if (seal) wrong += !client.Delete("created").ok();
    }
  }
  {
    const Result<Handle> pinned = client.Get("a");
    wrong += !pinned.ok() || !client.Delete("a").ok() || client.Delete("a").ok() || client.Get("a").ok();
  }
  // More objects than there may be, so that caches are given back, retired ones drained and old ones evicted. Small,
  // since a copy by REP MOVSB is a step for each byte.
  for (int i = 0; i < 13; ++i) wrong += !client.Put("n" + std::to_string(i), std::string(300, 'n')).ok();
  wrong += !client.List().ok() || !client.Contains("b0").ok() || !client.GetStats().ok();
  wrong += !client.Evict(5'000).ok() || !client.Recover().ok();
  wrong += subscription->Next(std::chrono::milliseconds(1)).code() != Code::kFellBehind;
  subscription.reset();
  return wrong;
}

TEST_P(DisciplineTest, NothingIsDoneInAWindowThatMayNotBe) {
  ClientParts parts = Parts();
  const std::vector<const Gate*> gates = {parts.gate.get()};
  int wrong = 0;
  const DisciplineReport report = WatchWindows(gates, [&] {
    Result<Client> client = ClientCore::AttachClient(std::move(parts));
    wrong = client.ok() ? EveryOperation(*client, std::getenv("LIGHTNING_EMULATED") == nullptr) : 100;
    ClientCore::Of(*client)->AddReference();  // the gate has to outlive the watch
    client->Close();
  });
  EXPECT_EQ(wrong, 0);
  EXPECT_TRUE(report.well()) << report.violations.size() << " and more, first " << report.violations.front();
  EXPECT_GT(report.inside, 20'000u);
  EXPECT_EQ(report.gate_calls > 0, GetParam() == Isolation::kMprotect) << "its own calls are the documented exception";
  printf("%s: %lu instructions, %lu of them in a window\n", IsolationName(GetParam()),
         static_cast<unsigned long>(report.instructions), static_cast<unsigned long>(report.inside));
}

// --- What it would see. The deed is done inside a window, and outside of it for comparison.

class PlantedTest : public DisciplineTest {
 protected:
  template <typename Do>
  DisciplineReport Watch(bool inside, Do deed) {
    const ClientParts parts = Parts();
    return WatchWindows({parts.gate.get()}, [&] {
      Window window(*parts.gate);
      if (!inside) window.Suspend();
      deed();
      if (!inside) window.Resume();
    });
  }
};
INSTANTIATE_TEST_SUITE_P(Modes, PlantedTest, testing::ValuesIn(ModesToRun()),
                         [](const auto& mode) { return IsolationName(mode.param); });

TEST_P(PlantedTest, ASystemCallInAWindowIsSeen) {
  const auto deed = [] { static_cast<void>(getppid()); };
  EXPECT_GT(Watch(true, deed).system_calls, 0u);
  EXPECT_TRUE(Watch(false, deed).well());
}

TEST_P(PlantedTest, AskingForTheTimeInAWindowIsSeen) {
  const auto deed = [] {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
  };
  EXPECT_GT(Watch(true, deed).system_calls, 0u);
  EXPECT_TRUE(Watch(false, deed).well());
}

TEST_P(PlantedTest, AnAllocationInAWindowIsSeen) {
  static void* volatile place;
  const auto deed = [] {
    place = ::operator new(100);
    ::operator delete(place);
  };
  EXPECT_GE(Watch(true, deed).allocations, 2u);
  EXPECT_TRUE(Watch(false, deed).well());
}

TEST_P(PlantedTest, AThrowInAWindowIsSeen) {
  const auto deed = [] {
    try {
      throw 1;
    } catch (int) {
    }
  };
  EXPECT_GT(Watch(true, deed).allocations, 0u);
  EXPECT_TRUE(Watch(false, deed).well());
}

TEST_P(PlantedTest, ACallThroughAPointerInAWindowIsSeen) {
  static void (*volatile function)() = [] {};
  const auto deed = [] { function(); };
  EXPECT_EQ(Watch(true, deed).pointer_calls, 1u);
  EXPECT_TRUE(Watch(false, deed).well());
}

TEST_P(PlantedTest, AJumpThroughAPointerOutOfItsFunctionInAWindowIsSeen) {
  for (const test::Jump jump : test::kJumpsOut) {
    EXPECT_EQ(Watch(true, [&] { test::Do(jump); }).pointer_calls, 1u) << static_cast<int>(jump);
    EXPECT_TRUE(Watch(false, [&] { test::Do(jump); }).well());
  }
}

TEST_P(PlantedTest, ASwitchAndACallByNameAreNoJumpsOutOfAFunction) {
  EXPECT_TRUE(Watch(true, [] { test::Do(test::Jump::kSwitch); }).well());
  static volatile size_t size = 1;
  static char from[8] = "a", to[8];
  EXPECT_TRUE(Watch(true, [] { memmove(to, from, size); }).well());
}

}  // namespace
}  // namespace lightning::pkeys
