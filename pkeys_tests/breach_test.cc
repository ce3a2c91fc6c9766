// Leaked rights where a handler is set: a typed status, nothing changed, and the thread's rights taken away.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <csetjmp>
#include <functional>
#include <new>
#include <thread>
#include <utility>

#include "lightning/isolation.h"
#include "pkeys_tests/isolation_fixture.h"
#include "store/gate/process_key.h"

namespace lightning::pkeys {
namespace {

class KeysBreachTest : public KeysTest {
 protected:
  void SetUp() override {
    KeysTest::SetUp();
    told_ = 0;
    SetBreachHandler({[](Breach breach, const char*, void*) {
                        ++told_;
                        last_ = breach;
                      },
                      nullptr});
  }
  void TearDown() override {
    SetBreachHandler({});
    KeysTest::TearDown();
  }
  void ExpectRefusedOnce(Breach breach) {
    const std::string before = Image();
    EXPECT_EQ(client_->Put("key", "value").code(), Code::kIsolationBroken);
    EXPECT_TRUE(Image() == before) << "nothing was changed";
    EXPECT_EQ(told_, 1);
    EXPECT_EQ(last_, breach);
    EXPECT_EQ(RightsOf(key()), kClosed);
    EXPECT_TRUE(client_->Put("key", "value").ok()) << "and the next operation goes on";
    ExpectSound();
  }
  static inline int told_ = 0;
  static inline Breach last_{};
};

TEST_F(KeysBreachTest, AWindowLeftByLongjmp) {
  static jmp_buf out;
  alignas(Window) static std::byte room[sizeof(Window)];
  if (setjmp(out) == 0) {
    new (room) Window(gate());
    longjmp(out, 1);
  }
  EXPECT_EQ(RightsOf(key()), kOpen);
  ExpectRefusedOnce(Breach::kOpenRights);
}

TEST_F(KeysBreachTest, RightsThatWereLeftOpen) {
  SetRightsOf(key(), kOpen);
  EXPECT_EQ(Audit().findings.size(), 1u) << "the audit sees this thread's rights, too";
  ExpectRefusedOnce(Breach::kOpenRights);
  EXPECT_TRUE(Audit().ok());
}

// But for closing: that a client refuses to close leaves it behind (EntryTest, in a child).
TEST_F(KeysBreachTest, EachOperationLooks) {
  Result<Writer> sealed = client_->Create("sealed", 70'000), aborted = client_->Create("aborted", 100);
  Result<Subscription> subscription = client_->Subscribe();
  ASSERT_TRUE(sealed.ok() && aborted.ok() && subscription.ok());
  const BatchItem items[] = {{"batch", AsBytes("x"), {}}};
  const std::pair<const char*, std::function<Code()>> operations[] = {
      {"get", [&] { return client_->Get("key").code(); }},
      {"contains", [&] { return client_->Contains("key").code(); }},
      {"put", [&] { return client_->Put("key", "value").code(); }},
      {"replace", [&] { return client_->Replace("key", AsBytes("value"), 1).code(); }},
      {"batch", [&] { return client_->PutBatch(items).code(); }},
      {"empty batch", [&] { return client_->PutBatch({}).code(); }},
      {"create", [&] { return client_->Create("key", 1).code(); }},
      {"seal", [&] { return sealed->Seal().code(); }},
      {"abort", [&] { return aborted->Abort().code(); }},
      {"delete", [&] { return client_->Delete("key").code(); }},
      {"list", [&] { return client_->List().code(); }},
      {"evict", [&] { return client_->Evict(1).code(); }},
      {"stats", [&] { return client_->GetStats().code(); }},
      {"recover", [&] { return client_->Recover().code(); }},
      {"subscribe", [&] { return client_->Subscribe().code(); }},
      {"next", [&] { return subscription->Next(std::chrono::milliseconds(1)).code(); }},
      {"check", [&] { return client_->Check().ok ? Code::kOk : Code::kIsolationBroken; }},
  };
  for (const auto& [name, operation] : operations) {
    SCOPED_TRACE(name);
    told_ = 0;
    SetRightsOf(key(), kOpen);
    EXPECT_EQ(operation(), Code::kIsolationBroken);
    EXPECT_EQ(told_, 1);
    EXPECT_EQ(RightsOf(key()), kClosed);
    SetRightsOf(key(), kClosed);
  }
  EXPECT_TRUE(sealed->Seal().ok());
  EXPECT_TRUE(aborted->Abort().ok());
}

TEST_F(KeysBreachTest, AThreadBornInAWindow) {
  std::thread born;
  std::atomic<bool> go{false};
  {
    Window window(gate());
    born = std::thread([&] {
      while (!go) std::this_thread::yield();
      EXPECT_EQ(RightsOf(key()), kOpen);
      ExpectRefusedOnce(Breach::kOpenRights);
    });
  }
  go = true;
  born.join();
}

}  // namespace
}  // namespace lightning::pkeys
