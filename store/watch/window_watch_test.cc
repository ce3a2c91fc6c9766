// The build that watches windows is believed because it finds what is planted: here, in a process of its own each.
#include "store/segment/window_watch.h"

#ifdef LIGHTNING_WATCH_WINDOWS

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <ostream>
#include <sstream>
#include <string>
#include <tuple>
#include <utility>

#include "store/gate/gate.h"
#include "store/gate/process_key.h"
#include "store/segment/segment.h"
#include "store/testing/pointer_jumps.h"
#include "store/testing/testing.h"

namespace lightning {
namespace {

enum class Way { kStepped, kRecorded };

class WindowWatchTest : public testing::TestWithParam<std::tuple<Way, Isolation>> {
 protected:
  static Way way() { return std::get<0>(GetParam()); }
  void SetUp() override {
    if (std::get<1>(GetParam()) == Isolation::kKeys && !MachineHasKeys())
      GTEST_SKIP() << "this machine has no memory protection keys";
    GTEST_FLAG_SET(death_test_style, "threadsafe");
  }

  // Ends the process: with status 0 where nothing was reported.
  template <typename Deed>
  [[noreturn]] static void InAWindow(bool inside, Deed deed) {
    unsetenv("LIGHTNING_WINDOW_REPORTS");  // so a report ends it too
    if (way() == Way::kRecorded) {
      setenv("LIGHTNING_WINDOW_UNSTEPPED", "1", 1);
    } else {
      unsetenv("LIGHTNING_WINDOW_UNSTEPPED");
    }
    Options options = test::SmallOptions();
    options.isolation = std::get<1>(GetParam());
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

// Each no tail call, and no part of another function.
__attribute__((noinline)) void AskTheKernel() {
  static_cast<void>(getppid());
  asm volatile("");
}
__attribute__((noinline)) void Allocate() {
  ::operator delete(::operator new(100));
  asm volatile("");
}
__attribute__((noinline)) void CallThroughAPointer() {
  static void (*volatile function)() = [] {};
  function();
  asm volatile("");
}

// That a process reported this deed, and among the calls that led to it one in this function.
class ReportOf : public testing::MatcherInterface<const std::string&> {
 public:
  ReportOf(const char* deed, void (*function)()) : deed_("inside a window: " + std::string(deed)) {
    Dl_info own = {};
    LIGHTNING_ASSERT(dladdr(reinterpret_cast<const void*>(function), &own) != 0);
    begin_ = reinterpret_cast<uint64_t>(function) - reinterpret_cast<uint64_t>(own.dli_fbase);
  }
  bool MatchAndExplain(const std::string& output, testing::MatchResultListener*) const override {
    std::istringstream calls(output.substr(std::min(output.find(deed_), output.size())));
    bool within = false;
    std::string word;
    while (std::getline(calls, word, ' ') && word != "addr2line") {
    }
    while (std::getline(calls, word, ' ')) {
      const uint64_t at = word.rfind("0x", 0) == 0 ? std::stoull(word, nullptr, 16) : 0;
      within = within || (at >= begin_ && at < begin_ + kLongest);
    }
    return within;
  }
  void DescribeTo(std::ostream* to) const override {
    *to << deed_ << ", called from 0x" << std::hex << begin_ << " on" << std::dec;
  }

 private:
  static constexpr uint64_t kLongest = 96;  // bytes, of the functions above
  std::string deed_;
  uint64_t begin_;
};

auto Report(const char* deed, void (*function)()) { return testing::MakeMatcher(new ReportOf(deed, function)); }

TEST_P(WindowWatchTest, ASystemCallIsReported) {
  EXPECT_DEATH(InAWindow(true, [] { AskTheKernel(); }), Report("a system call in getppid", AskTheKernel));
  EXPECT_EXIT(InAWindow(false, [] { AskTheKernel(); }), testing::ExitedWithCode(0), "");
}

TEST_P(WindowWatchTest, ReadingTheClockIsReported) {
  const auto deed = [] {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
  };
  EXPECT_DEATH(InAWindow(true, deed), "inside a window: a system call");
  EXPECT_EXIT(InAWindow(false, deed), testing::ExitedWithCode(0), "");
}

TEST_P(WindowWatchTest, AnAllocationIsReported) {
  EXPECT_DEATH(InAWindow(true, [] { Allocate(); }), Report("an allocation", Allocate));
  EXPECT_EXIT(InAWindow(false, [] { Allocate(); }), testing::ExitedWithCode(0), "");
}

TEST_P(WindowWatchTest, AThrowIsReported) {
  const auto deed = [] {
    try {
      throw 1;
    } catch (int) {
    }
  };
  EXPECT_DEATH(InAWindow(true, deed), "inside a window: an allocation or a throw");
  EXPECT_EXIT(InAWindow(false, deed), testing::ExitedWithCode(0), "");
}

TEST_P(WindowWatchTest, ACallThroughAPointerIsReported) {
  EXPECT_DEATH(InAWindow(true, [] { CallThroughAPointer(); }),
               Report("a call or jump through a pointer", CallThroughAPointer));
  EXPECT_EXIT(InAWindow(false, [] { CallThroughAPointer(); }), testing::ExitedWithCode(0), "");
}

__attribute__((noinline, optimize("O2"))) int CallAtItsEnd(int (*volatile* function)(int)) { return (*function)(1); }

TEST_P(WindowWatchTest, ACallThroughAPointerAtTheEndOfAFunctionIsReported) {
  static int (*volatile function)(int) = [](int number) { return number; };
  const auto deed = [] { static_cast<void>(CallAtItsEnd(&function)); };
  EXPECT_DEATH(InAWindow(true, deed), "inside a window: a call or jump through a pointer");
  EXPECT_EXIT(InAWindow(false, deed), testing::ExitedWithCode(0), "");
}

// What no compiler of this build made is seen by stepping alone.
TEST_P(WindowWatchTest, AJumpThroughAPointerOutOfItsFunctionIsReported) {
  if (way() == Way::kRecorded) GTEST_SKIP() << "recording sees what this build's compiler made";
  const auto deed = [] { test::Do(test::Jump::kMemory); };
  EXPECT_DEATH(InAWindow(true, deed), "inside a window: a call or jump through a pointer");
  EXPECT_EXIT(InAWindow(false, deed), testing::ExitedWithCode(0), "");
  EXPECT_EXIT(InAWindow(true, [] { test::Do(test::Jump::kSwitch); }), testing::ExitedWithCode(0), "");
}

TEST_P(WindowWatchTest, TheEndOfALongWindowIsWatchedToo) {
  const auto pass = [] {
    for (int turn = 0; turn < 20'000; ++turn) asm volatile("");
  };
  EXPECT_DEATH(InAWindow(true,
                         [&] {
                           pass();
                           static_cast<void>(getppid());
                         }),
               "inside a window: a system call in getppid");
  EXPECT_DEATH(InAWindow(true,
                         [&] {
                           pass();
                           ::operator delete(::operator new(100));
                         }),
               "inside a window: an allocation");
  EXPECT_EXIT(InAWindow(true, pass), testing::ExitedWithCode(0), "");
}

// Wherever on the stack the handler's frame comes to lie, which keeps the registers.
TEST_P(WindowWatchTest, ALongWindowKeepsItsRegisters) {
  if (!__builtin_cpu_supports("avx")) GTEST_SKIP() << "this machine has no AVX";
  for (uint64_t further = 0; further < 64; further += 8) {
    const auto deed = [further] {
      const uint64_t before[4] = {1, 2, 3, 4};
      uint64_t after[4] = {};
      asm volatile(
          "subq %[further], %%rsp\n\tvmovdqu (%[before]), %%ymm7\n\tmovl $20000, %%ecx\n"
          "1: decl %%ecx\n\tjnz 1b\n\tvmovdqu %%ymm7, (%[after])\n\taddq %[further], %%rsp" ::[before] "r"(before),
          [after] "r"(after), [further] "r"(further)
          : "ecx", "xmm7", "memory", "cc");
      if (memcmp(before, after, sizeof after) != 0) _exit(1);
    };
    EXPECT_EXIT(InAWindow(true, deed), testing::ExitedWithCode(0), "") << further;
  }
}

// What it does is not the window's, nor is its own return, a system call; and the window's rest is watched as if it had
// not been there.
TEST_P(WindowWatchTest, AHandlerThatInterruptsAWindowDoesNothingInItAndHidesNothing) {
  static volatile sig_atomic_t came = 0;
  static bool busy = false;
  const auto run = [](bool handler_does, bool window_does) {
    busy = handler_does;
    struct sigaction action = {};
    action.sa_handler = [](int) {
      if (busy) {
        ::operator delete(::operator new(100));
        static_cast<void>(getppid());
      }
      came = 1;
    };
    sigaction(SIGALRM, &action, nullptr);
    const itimerval soon = {.it_interval = {}, .it_value = {.tv_sec = 0, .tv_usec = 20'000}};
    setitimer(ITIMER_REAL, &soon, nullptr);
    InAWindow(true, [window_does] {
      while (came == 0) {
      }
      if (window_does) static_cast<void>(getppid());
    });
  };
  for (const bool handler_does : {false, true}) {
    EXPECT_DEATH(run(handler_does, true), "inside a window: a system call in getppid");
    EXPECT_EXIT(run(handler_does, false), testing::ExitedWithCode(0), "");
  }
}

INSTANTIATE_TEST_SUITE_P(Modes, WindowWatchTest,
                         testing::Combine(testing::Values(Way::kStepped, Way::kRecorded),
                                          testing::Values(Isolation::kKeys, Isolation::kMprotect, Isolation::kHidden,
                                                          Isolation::kNone)),
                         [](const auto& its) {
                           const bool stepped = std::get<0>(its.param) == Way::kStepped;
                           return std::string(stepped ? "Stepped" : "Recorded") +
                                  std::string(IsolationName(std::get<1>(its.param)));
                         });

}  // namespace
}  // namespace lightning

#endif
