#include "pkeys_tests/fire.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "pkeys_tests/stray.h"
#include "store/gate/gate.h"
#include "store/segment/segment.h"
#include "store/segment/segment_file.h"

namespace lightning::pkeys {
namespace {

using Planted = FirePlan::Planted;

constexpr uint64_t kWindowsOfAThread = 5'000;
constexpr uint64_t kSignals = 100;  // that each lane has to meet

std::atomic<uint64_t> signals, wrong_in_handler;
std::atomic<int> key_in_handler;  // -1: none
std::atomic<bool> plant_rights;

void OnSignal(int) {
  signals.fetch_add(1, std::memory_order_relaxed);
  const int key = key_in_handler.load(std::memory_order_relaxed);
  if (key < 0) return;
  if (plant_rights.load(std::memory_order_relaxed)) SetRightsOf(key, kOpen);
  if (RightsOf(key) != kInitial) wrong_in_handler.fetch_add(1, std::memory_order_relaxed);
}

// A storm for the thread that makes it.
class Storm {
 public:
  Storm() {
    sigevent event = {};
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = SIGUSR1;
    event._sigev_un._tid = gettid();
    LIGHTNING_ASSERT(timer_create(CLOCK_MONOTONIC, &event, &timer_) == 0);
    constexpr itimerspec kOften{{0, 150'000}, {0, 50'000}};
    timer_settime(timer_, 0, &kOften, nullptr);
  }
  ~Storm() { timer_delete(timer_); }
  Storm(const Storm&) = delete;
  Storm& operator=(const Storm&) = delete;

 private:
  timer_t timer_ = {};
};

// The kernel asks what the processor would: whether a store here would land. It writes the byte that is there, 0.
bool CanWrite(int zero, std::byte* at) { return read(zero, at, 1) == 1; }

struct Lane {
  std::unique_ptr<Gate> gate;
  SlotIndex slot = 0;
  std::byte* control = nullptr;  // a byte of the page that the windows open; it stays 0
  int key = -1;
  uint64_t windows = 0, forks = 0, threads = 0;
  uint64_t leaks = 0, wrong_rights = 0, wrong_children = 0;
};

class Fire {
 public:
  explicit Fire(const FirePlan& plan)
      : plan_(plan),
        zero_(open("/dev/zero", O_RDONLY | O_CLOEXEC)),
        strict_(plan.isolation == Isolation::kKeys || plan.isolation == Isolation::kMprotect) {
    Options options;
    options.size = 1 << 20;
    options.max_objects = 64;
    options.max_clients = 4;
    options.max_pins = 16;
    options.event_slots = 4;
    options.isolation = plan.isolation;
    geometry_ = *Geometry::Compute(options);
    const ScopedFd fd(memfd_create("fire", MFD_CLOEXEC));
    LIGHTNING_ASSERT(ftruncate(fd.get(), static_cast<off_t>(options.size)) == 0);
    for (SlotIndex i = 0; i < 2; ++i) {
      Lane& lane = lanes_[i];
      lane.slot = i;
      lane.gate = std::move(*Gate::Map(fd.get(), geometry_, options));
      Gate::WithAll([&](const std::vector<Gate::Mappings>& gates) {
        lane.control = reinterpret_cast<std::byte*>(gates.back().control.begin) + PageOf(i);
        lane.key = gates.back().key;
      });
      if (plan.planted == Planted::kInheritedMapping) madvise(lane.control, kPageSize, MADV_DOFORK);
    }
    key_in_handler = lanes_[0].key;
    plant_rights = plan.planted == Planted::kHandlerWithRights;
    signals = wrong_in_handler = 0;
  }

  FireReport Run() {
    struct sigaction action = {}, before;
    action.sa_handler = OnSignal;
    action.sa_flags = SA_RESTART;
    sigaction(SIGUSR1, &action, &before);
    std::atomic<int> running{2};
    std::vector<std::thread> runners;
    for (Lane& lane : lanes_) {
      runners.emplace_back([&] {
        RunLane(lane);
        --running;
      });
    }
    FireReport report;
    while (running != 0) report.wrong_children += Fork(&report.forks);
    for (std::thread& runner : runners) runner.join();
    sigaction(SIGUSR1, &before, nullptr);
    Sum(&report);
    return report;
  }

 private:
  uint64_t PageOf(SlotIndex slot) const { return geometry_.heap + (1 + uint64_t{slot}) * kPageSize; }
  const OwnWord& WordOf(const Lane& lane) const { return Segment(lane.gate->view(), geometry_).slot(lane.slot).pid; }

  void RunLane(Lane& lane) {
    const uint64_t share = plan_.windows / 2;
    while (lane.windows < share || signals < 2 * kSignals) {
      ++lane.threads;
      std::thread([&] {
        const Storm storm;
        if (lane.key >= 0) lane.wrong_rights += RightsOf(lane.key) != kClosed;
        for (uint64_t i = 0; i < kWindowsOfAThread; ++i) OneWindow(lane, i);
      }).join();
    }
  }

  void OneWindow(Lane& lane, uint64_t i) {
    const bool planted = i == kWindowsOfAThread / 2;
    alignas(Window) std::byte room[sizeof(Window)];
    auto* window = new (room) Window(*lane.gate);
    if (lane.key >= 0) lane.wrong_rights += RightsOf(lane.key) != kOpen;
    const OwnWord& word = WordOf(lane);
    if (!(planted && plan_.planted == Planted::kLostWrite)) window->Store(word, word.Load() + 1);
    window->Payload(PageOf(lane.slot), 8)[1] = static_cast<std::byte>(i);
    if (i == 1) lane.wrong_children += Fork(&lane.forks);  // against the rule for windows, and harmless all the same
    if (planted && plan_.planted == Planted::kLeak) {
      LookBehind(lane, i);
      window->~Window();
    } else {
      window->~Window();
      LookBehind(lane, i);
    }
    ++lane.windows;
  }

  // What a window that was left open shows.
  void LookBehind(Lane& lane, uint64_t i) const {
    const bool odd = lane.gate->windows().load(std::memory_order_relaxed) % 2 != 0;
    const bool rights = lane.key >= 0 && RightsOf(lane.key) != kClosed;
    const bool writable = strict_ && (i % 64 == 0 || odd) && CanWrite(zero_.get(), lane.control);
    lane.leaks += odd || rights || writable;
  }

  // 1 when the child could write to the segment.
  uint64_t Fork(uint64_t* forks) const {
    const pid_t child = fork();
    if (child == 0) {
      bool can = false;
      for (const Lane& lane : lanes_) can = can || CanWrite(zero_.get(), lane.control);
      syscall(SYS_exit_group, can);  // at _exit a thread sanitizer would miss the ends of threads that the parent has
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    ++*forks;
    return plan_.isolation != Isolation::kNone && status != 0;
  }

  void Sum(FireReport* report) const {
    report->signals = signals;
    report->wrong_rights = wrong_in_handler;
    for (const Lane& lane : lanes_) {
      report->windows += lane.windows;
      report->threads += lane.threads;
      report->forks += lane.forks;
      report->leaks += lane.leaks;
      report->wrong_rights += lane.wrong_rights;
      report->wrong_children += lane.wrong_children;
      report->lost_writes += lane.windows - WordOf(lane).Load();
    }
  }

  const FirePlan plan_;
  const ScopedFd zero_;
  const bool strict_;
  Geometry geometry_;
  Lane lanes_[2];
};

}  // namespace

std::string FireReport::ToString() const {
  return std::to_string(windows) + " windows, " + std::to_string(signals) + " signals, " + std::to_string(threads) +
         " threads, " + std::to_string(forks) + " forks: " + std::to_string(leaks) + " leaks, " +
         std::to_string(wrong_rights) + " wrong rights, " + std::to_string(lost_writes) + " lost writes, " +
         std::to_string(wrong_children) + " children that could write";
}

FireReport WindowsUnderFire(const FirePlan& plan) { return Fire(plan).Run(); }

}  // namespace lightning::pkeys
