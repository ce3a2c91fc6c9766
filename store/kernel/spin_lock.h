// A lock between the threads of one process. Unlike std::mutex it is left by a plain store, which does not wait until
// the stores before it have left the processor: after a put that is most of what std::mutex costs.
#pragma once

#include <sched.h>
#include <time.h>

#include <atomic>

namespace lightning {

class SpinLock {
 public:
  void lock() {
    for (int tries = 0; !try_lock(); ++tries) Wait(tries);
  }
  bool try_lock() { return !busy_.load(std::memory_order_relaxed) && !busy_.exchange(true, std::memory_order_acquire); }
  void unlock() { busy_.store(false, std::memory_order_release); }

 private:
  // The holder may copy many megabytes, or wait for another process: give way more and more.
  static void Wait(int tries) {
    if (tries < 100) {
      __builtin_ia32_pause();
    } else if (tries < 200) {
      sched_yield();
    } else {
      constexpr timespec kNap{0, 50'000};
      nanosleep(&kNap, nullptr);
    }
  }

  std::atomic<bool> busy_{false};
};

}  // namespace lightning
