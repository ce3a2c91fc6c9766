// The build that watches windows is believed because it finds what is planted: here, in a process of its own each.
#include "store/gate/window_watch.h"

#ifdef LIGHTNING_WATCH_WINDOWS

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <vector>

#include "store/gate/gate.h"

namespace lightning {
namespace {

// Ends the process: with status 0 where nothing was reported.
template <typename Deed>
[[noreturn]] void InAWindow(bool inside, Deed deed) {
  unsetenv("LIGHTNING_WINDOW_REPORTS");  // so a report ends it too
  std::vector<std::byte> memory(kPageSize);
  const auto gate = Gate::OverMemory(memory.data(), memory.size());
  {
    Window window(*gate);
    if (!inside) window.Suspend();
    deed();
    if (!inside) window.Resume();
  }
  _exit(0);
}

class WindowWatchTest : public testing::Test {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(WindowWatchTest, ASystemCallIsReported) {
  const auto deed = [] { static_cast<void>(getppid()); };
  EXPECT_DEATH(InAWindow(true, deed), "inside a window: a system call in getppid");
  EXPECT_EXIT(InAWindow(false, deed), testing::ExitedWithCode(0), "");
}

TEST_F(WindowWatchTest, AnAllocationIsReported) {
  const auto deed = [] { ::operator delete(::operator new(100)); };
  EXPECT_DEATH(InAWindow(true, deed), "inside a window: an allocation");
  EXPECT_EXIT(InAWindow(false, deed), testing::ExitedWithCode(0), "");
}

TEST_F(WindowWatchTest, ACallThroughAPointerIsReported) {
  static void (*volatile function)() = [] {};
  const auto deed = [] { function(); };
  EXPECT_DEATH(InAWindow(true, deed), "inside a window: a call through a pointer");
  EXPECT_EXIT(InAWindow(false, deed), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace lightning

#endif
