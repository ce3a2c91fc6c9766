// Leaked rights where a handler is set: a typed status, nothing changed, and the thread's rights taken away.
#include <gtest/gtest.h>

#include <atomic>
#include <csetjmp>
#include <new>
#include <thread>

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

TEST_F(KeysBreachTest, EachOperationLooks) {
  const auto refused = [&](Code code) {
    SetRightsOf(key(), kOpen);
    return code == Code::kIsolationBroken;
  };
  SetRightsOf(key(), kOpen);
  EXPECT_TRUE(refused(client_->Get("key").code()));
  EXPECT_TRUE(refused(client_->Contains("key").code()));
  EXPECT_TRUE(refused(client_->Delete("key").code()));
  EXPECT_TRUE(refused(client_->Create("key", 1).code()));
  EXPECT_TRUE(refused(client_->List().code()));
  EXPECT_TRUE(refused(client_->Evict(1).code()));
  EXPECT_TRUE(refused(client_->GetStats().code()));
  EXPECT_TRUE(refused(client_->Recover().code()));
  EXPECT_TRUE(refused(client_->Subscribe().code()));
  EXPECT_EQ(told_, 9);
  SetRightsOf(key(), kClosed);
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
