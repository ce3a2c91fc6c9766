// The build that watches windows is believed because it finds what is planted: here, in a process of its own each.
#include "store/segment/window_watch.h"

#ifdef LIGHTNING_WATCH_WINDOWS

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <utility>

#include "store/gate/gate.h"
#include "store/gate/process_key.h"
#include "store/segment/segment.h"
#include "store/testing/pointer_jumps.h"
#include "store/testing/testing.h"

namespace lightning {
namespace {

class WindowWatchTest : public testing::TestWithParam<Isolation> {
 protected:
  void SetUp() override {
    if (GetParam() == Isolation::kKeys && !MachineHasKeys())
      GTEST_SKIP() << "this machine has no memory protection keys";
    GTEST_FLAG_SET(death_test_style, "threadsafe");
  }

  // Ends the process: with status 0 where nothing was reported.
  template <typename Deed>
  [[noreturn]] static void InAWindow(bool inside, Deed deed) {
    unsetenv("LIGHTNING_WINDOW_REPORTS");  // so a report ends it too
    Options options = test::SmallOptions();
    options.isolation = GetParam();
    const Geometry geometry = *Geometry::Compute(options);
    const int fd = memfd_create("window-watch-test", MFD_CLOEXEC);
    LIGHTNING_ASSERT(ftruncate(fd, static_cast<off_t>(options.size)) == 0);
    const auto gate = std::move(*Gate::Map(fd, geometry, options));
    {
      Window window(*gate);
      window.Store(Segment(gate->view(), geometry).slot(0).pid, 9);
      if (!inside) window.Suspend();
      deed();
      if (!inside) window.Resume();
    }
    _exit(0);
  }
};

TEST_P(WindowWatchTest, ASystemCallIsReported) {
  const auto deed = [] { static_cast<void>(getppid()); };
  EXPECT_DEATH(InAWindow(true, deed), "inside a window: a system call in getppid");
  EXPECT_EXIT(InAWindow(false, deed), testing::ExitedWithCode(0), "");
}

TEST_P(WindowWatchTest, AnAllocationIsReported) {
  const auto deed = [] { ::operator delete(::operator new(100)); };
  EXPECT_DEATH(InAWindow(true, deed), "inside a window: an allocation");
  EXPECT_EXIT(InAWindow(false, deed), testing::ExitedWithCode(0), "");
}

TEST_P(WindowWatchTest, ACallThroughAPointerIsReported) {
  static void (*volatile function)() = [] {};
  const auto deed = [] { function(); };
  EXPECT_DEATH(InAWindow(true, deed), "inside a window: a call or jump through a pointer");
  EXPECT_EXIT(InAWindow(false, deed), testing::ExitedWithCode(0), "");
}

TEST_P(WindowWatchTest, AJumpThroughAPointerOutOfItsFunctionIsReported) {
  const auto deed = [] { test::Do(test::Jump::kMemory); };
  EXPECT_DEATH(InAWindow(true, deed), "inside a window: a call or jump through a pointer");
  EXPECT_EXIT(InAWindow(false, deed), testing::ExitedWithCode(0), "");
  EXPECT_EXIT(InAWindow(true, [] { test::Do(test::Jump::kSwitch); }), testing::ExitedWithCode(0), "");
}

INSTANTIATE_TEST_SUITE_P(Modes, WindowWatchTest,
                         testing::Values(Isolation::kKeys, Isolation::kMprotect, Isolation::kHidden, Isolation::kNone),
                         [](const auto& its) { return std::string(IsolationName(its.param)); });

}  // namespace
}  // namespace lightning

#endif
