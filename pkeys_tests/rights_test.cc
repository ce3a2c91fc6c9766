// The rights of threads, signal handlers and children to the control mapping.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csetjmp>
#include <csignal>
#include <new>
#include <thread>

#include "pkeys_tests/isolation_fixture.h"
#include "pkeys_tests/routes/thread_on_command.h"
#include "store/gate/process_key.h"

namespace lightning::pkeys {
namespace {

// Its thread is older than the key, since the fixture is made before the client.
class KeysThreadTest : public KeysTest {
 protected:
  KeysThreadTest() {
    // As in a process that never had a key: what the thread inherits here may come from the tests before.
    older_.Do([] {
      const bool keys = MachineHasKeys();  // asking sets rights, too
      for (int key = 1; keys && key < 16; ++key) SetRightsOf(key, kInitial);
    });
  }
  routes::ThreadOnCommand older_;
};

TEST_F(KeysThreadTest, OneOlderThanTheKeyHasNoRightsAndCanUseTheStore) {
  Fault before, after;
  uint32_t rights_before = 9, rights_after = 9;
  bool ok = false;
  older_.Do([&] {
    rights_before = RightsOf(key());
    before = Try(Access::kMov, control() + geometry().heap);
    ok = client_->Put("key", "value").ok() && client_->Get("key").ok();
    rights_after = RightsOf(key());
    after = Try(Access::kMov, control() + geometry().heap);
  });
  EXPECT_EQ(rights_before, kInitial);
  EXPECT_TRUE(ok);
  EXPECT_EQ(rights_after, kClosed);
  for (const Fault& fault : {before, after}) {
    EXPECT_TRUE(fault.happened);
    EXPECT_EQ(fault.code, SEGV_PKUERR);
    EXPECT_EQ(fault.key, key());
  }
}

TEST_F(KeysThreadTest, ANewOneHasNoRightsAndCanUseTheStore) {
  Fault fault;
  uint32_t rights = 9;
  bool ok = false;
  std::thread([&] {
    rights = RightsOf(key());
    fault = Try(Access::kMov, control() + geometry().heap);
    ok = client_->Put("key", "value").ok() && client_->Delete("key").ok();
  }).join();
  EXPECT_EQ(rights, kClosed);
  EXPECT_EQ(fault.code, SEGV_PKUERR);
  EXPECT_TRUE(ok);
}

TEST_F(KeysThreadTest, TheWindowOfOneOpensNothingForAnother) {
  Window window(gate());
  Fault fault;
  older_.Do([&] { fault = Try(Access::kMov, control() + geometry().heap); });
  EXPECT_TRUE(fault.happened);
  EXPECT_EQ(fault.code, SEGV_PKUERR);
}

TEST_F(KeysThreadTest, SeveralAtOnceKeepTheirOwnRights) {
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&, i] {
      for (int n = 0; n < 60; ++n) {
        wrong += !client_->Put("key" + std::to_string(i), std::to_string(n)).ok();
        wrong += RightsOf(key()) != kClosed;
        wrong += !Try(Access::kMov, control() + geometry().heap).happened;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  ExpectSound();
}

// --- Signal handlers.

struct Handled {
  int key = 0;
  const std::byte* place = nullptr;
  uint32_t rights = 9;
  Fault fault;
  std::atomic<int> count{0};
  std::atomic<int> wrong{0};
} handled;

class KeysSignalTest : public KeysTest {
 protected:
  void SetUp() override {
    KeysTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    handled.key = key();
    handled.place = control() + geometry().heap;
    handled.count = handled.wrong = 0;
    signal(SIGUSR1, [](int) {
      handled.rights = RightsOf(handled.key);
      handled.fault = Try(Access::kMov, handled.place);
      ++handled.count;
    });
    signal(SIGALRM, [](int) {
      handled.wrong += RightsOf(handled.key) != kInitial;
      ++handled.count;
    });
  }
  void TearDown() override {
    signal(SIGUSR1, SIG_DFL);
    signal(SIGALRM, SIG_DFL);
    KeysTest::TearDown();
  }
  static void SetAlarm(suseconds_t microseconds) {
    const itimerval often{{0, microseconds}, {0, microseconds}};
    setitimer(ITIMER_REAL, &often, nullptr);
  }
};

TEST_F(KeysSignalTest, AHandlerOutsideAWindowHasNoRights) {
  raise(SIGUSR1);
  EXPECT_EQ(handled.count, 1);
  EXPECT_EQ(handled.rights, kInitial);
  EXPECT_EQ(handled.fault.code, SEGV_PKUERR);
  EXPECT_EQ(handled.fault.key, key());
  EXPECT_EQ(RightsOf(key()), kClosed);
}

TEST_F(KeysSignalTest, AHandlerThatInterruptsAWindowHasNoRightsAndTheWindowIsOpenAgainAfterwards) {
  const uint64_t offset = geometry().heap + geometry().size / 8;
  uint32_t rights = 9;
  Fault inside;
  {
    Window window(gate());
    raise(SIGUSR1);
    rights = RightsOf(key());
    inside = Try(Access::kByte, window.Payload(offset, 1));
    *window.Payload(offset, 1) = std::byte{0};
  }
  EXPECT_EQ(handled.count, 1);
  EXPECT_EQ(handled.rights, kInitial);
  EXPECT_EQ(handled.fault.code, SEGV_PKUERR);
  EXPECT_EQ(rights, kOpen);
  EXPECT_FALSE(inside.happened);
  EXPECT_EQ(RightsOf(key()), kClosed);
}

TEST_F(KeysSignalTest, AHundredThousandWindowsUnderAStormOfAlarmsKeepTheirRights) {
  constexpr int kWindows = 120'000;
  int wrong_inside = 0, wrong_outside = 0;
  SetAlarm(300);
  for (int i = 0; i < kWindows; ++i) {
    {
      Window window(gate());
      wrong_inside += RightsOf(key()) != kOpen;
    }
    wrong_outside += RightsOf(key()) != kClosed;
  }
  // However fast the machine was: some windows were interrupted.
  for (int i = 0; i < 100'000'000 && handled.count < 50; ++i) {
    Window window(gate());
    wrong_inside += RightsOf(key()) != kOpen;
  }
  SetAlarm(0);
  EXPECT_EQ(wrong_inside, 0);
  EXPECT_EQ(wrong_outside, 0);
  EXPECT_EQ(handled.wrong, 0);
  EXPECT_GE(handled.count, 50);
  RecordProperty("alarms", handled.count);
  printf("%d windows under %d alarms\n", kWindows, handled.count.load());
}

TEST_F(KeysSignalTest, OperationsUnderAStormOfAlarmsWork) {
  SetAlarm(300);
  int wrong = 0;
  for (int i = 0; i < 2000; ++i) {
    const std::string key_name = "key" + std::to_string(i % 50);
    wrong += !client_->Put(key_name, std::to_string(i)).ok();
    wrong += RightsOf(key()) != kClosed;
    if (i % 3 == 0) wrong += !client_->Delete(key_name).ok();
  }
  SetAlarm(0);
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(handled.wrong, 0);
  EXPECT_GT(handled.count, 0);
  ExpectSound();
}

// --- Windows that were left open, and operations from where they may not be.

// Each in a child, with a client of its own there: its parent's could not be used.
class KeysDeathTest : public KeysTest {
 protected:
  // Does `deed`, then an operation, which should not come to its end.
  template <typename Deed>
  void DeedThenOperation(Deed deed) {
    Result<Client> own = Connect(Isolation::kKeys);
    if (!own.ok() || !own->Put("key", "value").ok()) _exit(1);
    deed(*own);
    static_cast<void>(own->Delete("key").ok());
    _exit(0);
  }
  static Gate& GateOf(Client& client) { return ClientCore::Of(client)->gate(); }
};
constexpr char kMessage[] = "lightning: .*the process ends before it can harm the store";

TEST_F(KeysDeathTest, AWindowLeftByLongjmpIsFoundByTheNextOperation) {
  EXPECT_EXIT(DeedThenOperation([](Client& client) {
                static jmp_buf out;
                alignas(Window) static std::byte room[sizeof(Window)];
                if (setjmp(out) != 0) return;
                new (room) Window(GateOf(client));
                longjmp(out, 1);
              }),
              testing::KilledBySignal(SIGABRT), kMessage);
}

TEST_F(KeysDeathTest, RightsThatWereLeftOpenAreFoundByTheNextOperation) {
  for (const uint32_t rights : {0u, 2u}) {
    EXPECT_EXIT(DeedThenOperation([&](Client&) { SetRightsOf(ControlMappings().front().key, rights); }),
                testing::KilledBySignal(SIGABRT), kMessage);
  }
}

TEST_F(KeysDeathTest, AnOperationFromAHandlerThatInterruptedAWindowEndsTheProcess) {
  EXPECT_EXIT(DeedThenOperation([](Client& client) {
                static Client* its;
                its = &client;
                signal(SIGUSR2, [](int) { static_cast<void>(its->Delete("key").ok()); });
                Window window(GateOf(client));
                raise(SIGUSR2);
                _exit(0);
              }),
              testing::KilledBySignal(SIGABRT), kMessage);
}

// The store ends the process for what the caller did, not for what came before it.
TEST_F(KeysDeathTest, WithoutADeedTheOperationComesToItsEnd) {
  EXPECT_EXIT(DeedThenOperation([](Client&) {}), testing::ExitedWithCode(0), "");
}

// --- The kernel, on behalf of a careless caller.

using KeysSyscallTest = KeysTest;

TEST_F(KeysSyscallTest, ReadingIntoTheControlMappingIsRefused) {
  const std::string before = Image();
  void* const target = control() + geometry().heap;
  const ScopedFd file(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  const auto refused = [](ssize_t result) { return result == -1 && errno == EFAULT; };
  EXPECT_TRUE(refused(read(file.get(), target, 64)));
  EXPECT_TRUE(refused(pread(file.get(), target, 64, 0)));
  const iovec vector{target, 64};
  EXPECT_TRUE(refused(readv(file.get(), &vector, 1)));
  EXPECT_TRUE(refused(getrandom(target, 64, 0)));
  int sockets[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
  ASSERT_EQ(write(sockets[1], "0123456789", 10), 10);
  EXPECT_TRUE(refused(recv(sockets[0], target, 10, 0)));
  EXPECT_TRUE(refused(write(sockets[0], target, 10))) << "nor may it be read from";
  close(sockets[0]);
  close(sockets[1]);
  EXPECT_TRUE(Image() == before);
}

TEST_F(KeysSyscallTest, AForkedChildHasNoControlMappingButCanReadItsParentsHandles) {
  ASSERT_TRUE(client_->Put("key", "value").ok());
  const Result<Handle> handle = client_->Get("key");
  ASSERT_TRUE(handle.ok());
  const pid_t child = fork();
  if (child == 0) {
    if (!ControlMappings().empty()) _exit(1);
    const Fault fault = Try(Access::kMov, control() + geometry().heap);
    if (!fault.happened || fault.code != SEGV_MAPERR) _exit(2);
    if (handle->view() != "value") _exit(3);
    if (client_->Put("key", "other").code() != Code::kForked) _exit(4);
    // One of its own is as good as any.
    Result<Client> own = Connect(Isolation::kKeys);
    if (!own.ok() || !own->Put("child", "value").ok()) _exit(5);
    if (ControlMappings().size() != 1 || RightsOf(ControlMappings().front().key) != kClosed) _exit(6);
    own->Close();
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status)) << status;
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_EQ(client_->Get("child")->view(), "value");
}

}  // namespace
}  // namespace lightning::pkeys
