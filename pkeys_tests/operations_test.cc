// The store in mode keys does all that it does elsewhere, and is shut after each operation.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "pkeys_tests/isolation_fixture.h"
#include "store/gate/process_key.h"

namespace lightning::pkeys {
namespace {

class KeysOperationsTest : public KeysTest {
 protected:
  // Whatever `result` is of: it went well, and the window is shut.
  template <typename T>
  void Expect(const T& result, const char* what) {
    EXPECT_EQ(Describe(result), "OK") << what;
    EXPECT_EQ(RightsOf(key()), 3u) << what;
  }
  static std::string Describe(const Status& status) { return status.ToString(); }
  template <typename T>
  static std::string Describe(const Result<T>& result) {
    return result.ok() ? "OK" : result.status().ToString();
  }
};

TEST_F(KeysOperationsTest, KeysAreTheDefaultWhereTheMachineHasThem) {
  EXPECT_EQ(DefaultIsolation(), Isolation::kKeys);
  const Result<Client> client = Connect(Isolation::kAuto);
  ASSERT_TRUE(client.ok());
  EXPECT_EQ(client->isolation(), Isolation::kKeys);
}

TEST_F(KeysOperationsTest, EachOperationWorksAndLeavesTheWindowShut) {
  Result<Subscription> subscription = client_->Subscribe();
  Expect(subscription, "subscribe");
  const Result<uint64_t> version = client_->Put("a", "one");
  Expect(version, "put");
  Expect(client_->Replace("a", AsBytes("two"), *version), "replace");
  const std::string large(100'000, 'l');
  Expect(client_->Put("large", large), "large put");
  Result<Handle> handle = client_->Get("a");
  Expect(handle, "get");
  EXPECT_EQ(handle->view(), "two");
  EXPECT_EQ(client_->Get("large")->view(), large);
  const BatchItem items[] = {{"b0", AsBytes("x"), {}}, {"b1", AsBytes("y"), AsBytes("metadata")}};
  Expect(client_->PutBatch(items), "batch");
  for (const uint64_t size : {uint64_t{100}, uint64_t{70'000}}) {
    Result<Writer> writer = client_->Create("created", size);
    Expect(writer, "create");
    std::fill(writer->Writable().begin(), writer->Writable().end(), std::byte{7});
    Expect(writer->Seal(), "seal");
    Expect(client_->Delete("created"), "delete");
    writer = client_->Create("created", size);
    Expect(writer, "create");
    Expect(writer->Abort(), "abort");
  }
  Expect(client_->Contains("b0"), "contains");
  Expect(client_->List(), "list");
  Expect(client_->GetStats(), "stats");
  Expect(client_->Recover(), "recover");
  const Result<Event> event = subscription->Next(std::chrono::seconds(1));
  Expect(event, "next event");
  EXPECT_EQ(event->key, "a");
  handle->Release();
  EXPECT_EQ(RightsOf(key()), 3u);
  const Result<uint64_t> freed = client_->Evict(1);
  Expect(freed, "evict");
  EXPECT_GT(*freed, 0u);
  ExpectSound();
  EXPECT_EQ(RightsOf(key()), 3u);
}

TEST_F(KeysOperationsTest, OperationsThatFailLeaveTheWindowShut) {
  EXPECT_EQ(client_->Delete("absent").code(), Code::kNotFound);
  EXPECT_EQ(RightsOf(key()), 3u);
  EXPECT_EQ(client_->Get("absent", std::chrono::milliseconds(2)).code(), Code::kTimeout);
  EXPECT_EQ(RightsOf(key()), 3u);
  EXPECT_EQ(client_->Replace("absent", AsBytes("x"), 1).code(), Code::kNotFound);
  EXPECT_EQ(RightsOf(key()), 3u);
  const std::string half(options_.size / 2, 'x');
  static_cast<void>(client_->Put("first", half).ok());
  EXPECT_EQ(client_->Put("second", half).code(), Code::kSegmentFull);
  EXPECT_EQ(RightsOf(key()), 3u);
  ExpectSound();
}

TEST_F(KeysOperationsTest, BytesInTheControlMappingAreNotTakenForAValue) {
  const Bytes inside(control() + geometry().heap, 64);
  EXPECT_EQ(client_->Put("key", inside).code(), Code::kInvalidArgument);
  PutOptions options;
  options.metadata = inside;
  EXPECT_EQ(client_->Put("key", AsBytes("x"), options).code(), Code::kInvalidArgument);
  EXPECT_EQ(RightsOf(key()), 3u);
}

TEST_F(KeysOperationsTest, TwoClientsOfAProcessShareTheKeyAndTheLastGivesItBack) {
  Result<Client> second = Connect(Isolation::kKeys);
  ASSERT_TRUE(second.ok());
  const std::vector<Mapping> control = ControlMappings();
  ASSERT_EQ(control.size(), 2u);
  EXPECT_EQ(control[0].key, control[1].key);
  ASSERT_TRUE(second->Put("key", "value").ok());
  EXPECT_EQ(client_->Get("key")->view(), "value");
  const int its_key = key();
  client_->Close();
  ASSERT_TRUE(second->Put("key", "other").ok()) << "the key went with the first client";
  const int another = pkey_alloc(0, PKEY_DISABLE_ACCESS);
  EXPECT_NE(another, its_key) << "the key of what is still mapped was free for others";
  pkey_free(another);
  EXPECT_EQ(ControlMappings().size(), 1u);
  EXPECT_EQ(Try(Access::kMov, ControlMappings().front().begin).code, SEGV_PKUERR);
  second->Close();
  EXPECT_TRUE(ControlMappings().empty());
  const int free_again = pkey_alloc(0, 0);
  EXPECT_EQ(free_again, its_key);
  pkey_free(free_again);
}

TEST_F(KeysOperationsTest, WhenAllKeysAreTakenKeysAreRefusedByNameAndAutoTakesMprotect) {
  client_->Close();
  std::vector<int> taken;
  for (int next; (next = pkey_alloc(0, 0)) >= 0;) taken.push_back(next);
  EXPECT_GE(taken.size(), 1u);
  EXPECT_EQ(Connect(Isolation::kKeys).code(), Code::kUnsupported);
  Result<Client> other = Connect(Isolation::kAuto);
  ASSERT_TRUE(other.ok()) << "what is not asked for by name is no reason to refuse";
  EXPECT_EQ(other->isolation(), Isolation::kMprotect);
  EXPECT_TRUE(other->Put("key", "value").ok());
  for (const int one : taken) pkey_free(one);
  EXPECT_TRUE(Connect(Isolation::kKeys).ok());
}

TEST_F(KeysOperationsTest, ClientsOfDifferentModesShareASegment) {
  for (const Isolation other : {Isolation::kMprotect, Isolation::kHidden, Isolation::kNone}) {
    Result<Client> second = Connect(other);
    ASSERT_TRUE(second.ok());
    EXPECT_EQ(second->isolation(), other);
    ASSERT_TRUE(second->Put("key", IsolationName(other)).ok());
    EXPECT_EQ(client_->Get("key")->view(), IsolationName(other));
    ASSERT_TRUE(client_->Put("key", "keys").ok());
    EXPECT_EQ(second->Get("key")->view(), "keys");
  }
  ExpectSound();
}

// A child that attaches in mode keys, leaves something unfinished and dies.
void DieUnfinished(Result<Client> client) {
  if (!client.ok() || !client->Put("sealed", "value").ok()) _exit(1);
  const Result<Handle> pinned = client->Get("pinned");
  const Result<Writer> writer = client->Create("unsealed", 70'000);
  if (!pinned.ok() || !writer.ok()) _exit(2);
  kill(getpid(), SIGKILL);
}

TEST_F(KeysOperationsTest, TheDeadAreRecovered) {
  ASSERT_TRUE(client_->Put("pinned", "value").ok());
  const pid_t child = fork();
  if (child == 0) DieUnfinished(Connect(Isolation::kKeys));
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status)) << status;
  ASSERT_TRUE(client_->Put("unsealed", "now ours").ok());
  ASSERT_TRUE(client_->Recover().ok());
  EXPECT_EQ(RightsOf(key()), 3u);
  EXPECT_EQ(client_->GetStats()->recoveries, 1u);
  EXPECT_EQ(client_->GetStats()->clients, 1u);
  EXPECT_EQ(client_->Get("sealed")->view(), "value");
  for (const char* name : {"sealed", "pinned", "unsealed"}) EXPECT_TRUE(client_->Delete(name).ok());
  ASSERT_TRUE(client_->Recover().ok());
  EXPECT_EQ(client_->GetStats()->bytes_free, client_->GetStats()->bytes_total);
  ExpectSound();
}

TEST_F(KeysOperationsTest, TheDeadAreRecoveredWhereverTheyWere) {
  for (int i = 0; i < 6; ++i) {
    int ready[2];
    ASSERT_EQ(pipe(ready), 0);
    const pid_t child = fork();
    if (child == 0) {
      Result<Client> client = Connect(Isolation::kKeys);
      if (!client.ok() || write(ready[1], "x", 1) != 1) _exit(1);
      for (int n = 0;; ++n) {
        static_cast<void>(client->Put("common", std::to_string(n)).ok());
        static_cast<void>(client->Delete("common").ok());
      }
    }
    char byte;
    ASSERT_EQ(read(ready[0], &byte, 1), 1);
    usleep(static_cast<useconds_t>(1000 * i + 300));
    kill(child, SIGKILL);
    ASSERT_EQ(waitpid(child, nullptr, 0), child);
    close(ready[0]);
    close(ready[1]);
    ASSERT_TRUE(client_->Put("common", "ours").ok());
    ASSERT_TRUE(client_->Recover().ok());
    EXPECT_EQ(client_->GetStats()->recoveries, static_cast<uint64_t>(i) + 1);
    ASSERT_TRUE(client_->Delete("common").ok());
    ASSERT_TRUE(client_->Recover().ok());
    EXPECT_EQ(client_->GetStats()->bytes_free, client_->GetStats()->bytes_total);
    ExpectSound();
  }
}

}  // namespace
}  // namespace lightning::pkeys
