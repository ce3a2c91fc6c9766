#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include "store/kernel/kernel.h"
#include "store/testing/testing.h"

namespace lightning {
namespace {

using test::RunInChild;
using test::TempFolder;

class LinuxKernelTest : public testing::Test {
 protected:
  LinuxKernelTest() { close(open(path_.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600)); }
  std::unique_ptr<Kernel> NewKernel() const {
    return MakeLinuxKernel(ScopedFd(open(path_.c_str(), O_RDONLY | O_CLOEXEC)),
                           ScopedFd(open(path_.c_str(), O_RDWR | O_CLOEXEC)));
  }
  // Forks a client of slot 5 that says who it is and then waits for a byte before it exits.
  pid_t StartClient(ClientIdentity* identity, int* go_on) const {
    int out[2], in[2];
    EXPECT_EQ(pipe(out) + pipe(in), 0);
    const pid_t child = fork();
    if (child == 0) {
      close(in[1]);
      const std::unique_ptr<Kernel> kernel = NewKernel();
      if (!kernel->Announce(5).ok()) _exit(1);
      const ClientIdentity self = kernel->Self();
      char byte;
      if (write(out[1], &self, sizeof self) != sizeof self || read(in[0], &byte, 1) < 0) _exit(1);
      _exit(0);
    }
    close(out[1]);
    close(in[0]);
    EXPECT_EQ(read(out[0], identity, sizeof *identity), static_cast<ssize_t>(sizeof *identity));
    close(out[0]);
    *go_on = in[1];
    return child;
  }

  const TempFolder folder_;
  const std::string path_ = folder_ / "segment";
};

TEST_F(LinuxKernelTest, ALivingClientIsAliveAndADeadOneIsNot) {
  const std::unique_ptr<Kernel> kernel = NewKernel();
  ClientIdentity identity;
  int go_on = -1;
  const pid_t child = StartClient(&identity, &go_on);
  EXPECT_EQ(identity.pid, static_cast<uint64_t>(child));
  EXPECT_TRUE(kernel->IsAlive(5, &identity));
  EXPECT_TRUE(kernel->IsAlive(5, nullptr)) << "before it has written who it is, its lock says so";
  EXPECT_FALSE(kernel->IsAlive(6, nullptr)) << "nobody has announced slot 6";
  kill(child, SIGKILL);
  siginfo_t info;
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT), 0);
  EXPECT_FALSE(kernel->IsAlive(5, &identity)) << "a zombie is dead";
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  EXPECT_FALSE(kernel->IsAlive(5, &identity));
  EXPECT_FALSE(kernel->IsAlive(5, nullptr));
  close(go_on);
}

// Rule 7: a stopped client is alive.
TEST_F(LinuxKernelTest, AStoppedClientIsAlive) {
  const std::unique_ptr<Kernel> kernel = NewKernel();
  ClientIdentity identity;
  int go_on = -1;
  const pid_t child = StartClient(&identity, &go_on);
  ASSERT_EQ(kill(child, SIGSTOP), 0);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, WUNTRACED), child);
  ASSERT_TRUE(WIFSTOPPED(status));
  EXPECT_TRUE(kernel->IsAlive(5, &identity));
  kill(child, SIGCONT);
  close(go_on);
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  EXPECT_FALSE(kernel->IsAlive(5, &identity));
}

// Rule 7: a pid used again is another process, since its start time differs; and a boot forgets everybody.
TEST_F(LinuxKernelTest, APidThatIsUsedAgainDoesNotKeepTheDeadAlive) {
  const std::unique_ptr<Kernel> kernel = NewKernel();
  ASSERT_TRUE(kernel->Announce(5).ok());
  ClientIdentity self = kernel->Self();
  EXPECT_EQ(self.pid, static_cast<uint64_t>(getpid()));
  EXPECT_TRUE(kernel->IsAlive(5, &self));
  ClientIdentity earlier = self;
  earlier.start_time -= 1;
  EXPECT_FALSE(kernel->IsAlive(5, &earlier));
  ClientIdentity before_boot = self;
  before_boot.boot += 1;
  EXPECT_FALSE(kernel->IsAlive(5, &before_boot));
}

// Rule 7: a pid of another namespace means nothing here; the lock on the slot's byte decides.
TEST_F(LinuxKernelTest, InAnotherPidNamespaceTheLockDecides) {
  const std::unique_ptr<Kernel> kernel = NewKernel(), other = NewKernel();
  ClientIdentity foreign = kernel->Self();
  foreign.namespaces ^= 1;
  foreign.pid = 0x7FFF'FFFF;  // no such pid here
  EXPECT_FALSE(other->IsAlive(5, &foreign));
  ASSERT_TRUE(kernel->Announce(5).ok());
  EXPECT_TRUE(other->IsAlive(5, &foreign));
  foreign.pid = static_cast<uint64_t>(getpid());
  kernel->Retract(5);
  EXPECT_FALSE(other->IsAlive(5, &foreign)) << "though a process here has this pid";
}

TEST_F(LinuxKernelTest, AClientOfARealOtherPidNamespaceIsSeenToLiveAndDie) {
  const int status = RunInChild([&] {
    if (unshare(CLONE_NEWPID) != 0) return test::kCannotRun;
    const std::unique_ptr<Kernel> outside = NewKernel();
    ClientIdentity identity;
    int go_on = -1;
    const pid_t child = StartClient(&identity, &go_on);  // the first process of the new namespace
    if (identity.pid != 1) return 2;
    // Without a /proc of the namespace its numbers are those of the outside; the lock holds whatever they say.
    identity.namespaces = 4711;
    if (!outside->IsAlive(5, &identity)) return 3;
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    return outside->IsAlive(5, &identity) ? 4 : 0;
  });
  if (status == test::kCannotRun) GTEST_SKIP() << "a pid namespace needs root";
  EXPECT_EQ(status, 0);
}

// The child shares the lock through the descriptor it inherited; the pid and start time still tell.
TEST_F(LinuxKernelTest, AForkedChildDoesNotKeepItsDeadParentAlive) {
  const std::unique_ptr<Kernel> kernel = NewKernel();
  int out[2], in[2];
  ASSERT_EQ(pipe(out) + pipe(in), 0);
  const pid_t parent = fork();
  if (parent == 0) {
    const std::unique_ptr<Kernel> its = NewKernel();
    if (!its->Announce(5).ok()) _exit(1);
    const ClientIdentity self = its->Self();
    if (fork() == 0) {
      char byte;
      close(in[1]);
      close(out[0]);
      close(out[1]);
      _exit(read(in[0], &byte, 1) < 0);  // outlives its parent
    }
    _exit(write(out[1], &self, sizeof self) != sizeof self);
  }
  ClientIdentity identity;
  ASSERT_EQ(read(out[0], &identity, sizeof identity), static_cast<ssize_t>(sizeof identity));
  ASSERT_EQ(waitpid(parent, nullptr, 0), parent);
  EXPECT_TRUE(kernel->IsAlive(5, nullptr)) << "the orphan does hold the lock";
  EXPECT_FALSE(kernel->IsAlive(5, &identity));
  for (const int fd : {out[0], out[1], in[0], in[1]}) close(fd);
}

TEST_F(LinuxKernelTest, AForkedChildIsNotTheSameProcess) {
  const std::unique_ptr<Kernel> kernel = NewKernel();
  EXPECT_TRUE(kernel->IsSameProcess());
  EXPECT_EQ(RunInChild([&] { return kernel->IsSameProcess(); }), 0);
  EXPECT_TRUE(kernel->IsSameProcess());
}

TEST_F(LinuxKernelTest, OneProcessAttachesAtATime) {
  const std::unique_ptr<Kernel> first = NewKernel(), second = NewKernel();
  ASSERT_TRUE(first->BeginAttach(Nanoseconds(0)).ok());
  EXPECT_EQ(second->BeginAttach(std::chrono::milliseconds(2)).code(), Code::kTimeout);
  EXPECT_TRUE(second->IsAlive(kAttacher, nullptr));
  first->EndAttach();
  EXPECT_FALSE(second->IsAlive(kAttacher, nullptr));
  EXPECT_TRUE(second->BeginAttach(std::chrono::milliseconds(2)).ok());
}

TEST_F(LinuxKernelTest, WhoAttachesMayWaitForEver) {
  const std::unique_ptr<Kernel> first = NewKernel(), second = NewKernel();
  ASSERT_TRUE(first->BeginAttach(Nanoseconds(0)).ok());
  std::thread leaver([&, waiter = gettid()] {
    EXPECT_TRUE(test::WaitUntilItSleeps(waiter));
    first->EndAttach();
  });
  EXPECT_TRUE(second->BeginAttach(Nanoseconds::max()).ok());
  leaver.join();
}

TEST(DeadlineTest, ItIsTheSumAsFarAsThatCanBe) {
  EXPECT_EQ(DeadlineAfter(Nanoseconds(5), Nanoseconds(7)), Nanoseconds(12));
  EXPECT_EQ(DeadlineAfter(Nanoseconds(5), Nanoseconds(-7)), Nanoseconds(-2));
  EXPECT_EQ(DeadlineAfter(Nanoseconds(0), Nanoseconds::max()), Nanoseconds::max());
  EXPECT_EQ(DeadlineAfter(Nanoseconds(5), Nanoseconds::max()), Nanoseconds::max());
  EXPECT_EQ(DeadlineAfter(Nanoseconds(5), Nanoseconds::max() - Nanoseconds(5)), Nanoseconds::max());
  EXPECT_EQ(DeadlineAfter(Nanoseconds(5), Nanoseconds::max() - Nanoseconds(6)), Nanoseconds::max() - Nanoseconds(1));
}

// Doorbells are hints; what a sleep must do is end.
TEST_F(LinuxKernelTest, AWaitEndsByItsLimitByAChangeOrByAWake) {
  const std::unique_ptr<Kernel> kernel = NewKernel();
  std::atomic<uint32_t> word{1};
  const Nanoseconds begin = kernel->Now();
  kernel->Wait(word, 1, std::chrono::milliseconds(5));
  EXPECT_GE(kernel->Now() - begin, std::chrono::milliseconds(4));
  kernel->Wait(word, 0, std::chrono::hours(1));  // it is 1 already
  std::thread waker([&] {
    word = 2;
    for (int i = 0; i < 100; ++i) {
      kernel->WakeAll(word);
      kernel->Pause(std::chrono::microseconds(100));
    }
  });
  while (word == 1) kernel->Wait(word, 1, std::chrono::hours(1));
  waker.join();
  EXPECT_EQ(word, 2u);
}

}  // namespace
}  // namespace lightning
