// The type of every word that clients share, and the one seam under all their accesses. In a release build it is
// std::atomic and nothing else. Built with LIGHTNING_SIM, each access goes to a harness, which decides what it sees,
// when others see it, who moves next, and who dies here.
#pragma once

#ifdef LIGHTNING_NO_SHARED_WORDS
#error "this source is compiled once for both builds of the store: name it in `twice` in faults/CMakeLists.txt"
#endif

#include <atomic>
#include <cstdint>
#include <cstring>

namespace lightning {

#ifndef LIGHTNING_SIM

template <typename T>
using Atomic = std::atomic<T>;
static_assert(std::atomic<uint32_t>::is_always_lock_free && std::atomic<uint64_t>::is_always_lock_free);

inline void FullFence() { std::atomic_thread_fence(std::memory_order_seq_cst); }
// Before bytes that are no words are written in place; the writer is done with them at its next access to any word.
inline void BeforePayload(void*, uint64_t) {}
// A cheap clock for recency; its unit is the processor's. Needs no system call and no window.
inline uint64_t Ticks() { return __builtin_ia32_rdtsc(); }
// Turns of the processor that a waiter takes before it asks the system.
inline constexpr int kSpins = 200;

#else

// One thread has a simulation: nothing here is synchronised. Sizes are 4 or 8 bytes; `place` is aligned to them.
class SharedMemoryHooks {
 public:
  virtual ~SharedMemoryHooks() = default;
  virtual uint64_t Load(const void* place, uint32_t size) = 0;
  virtual void Store(void* place, uint32_t size, uint64_t value) = 0;
  // Locked instructions, which drain the store buffer: each gives the value before.
  virtual uint64_t Exchange(void* place, uint32_t size, uint64_t value) = 0;
  virtual uint64_t FetchAdd(void* place, uint32_t size, uint64_t value) = 0;
  virtual uint64_t CompareExchange(void* place, uint32_t size, uint64_t expected, uint64_t desired) = 0;
  virtual void Fence() = 0;
  virtual void Payload(void* place, uint64_t size) = 0;
  virtual uint64_t Ticks() = 0;
};
// Null: plain accesses. Loads have one of their own, since whoever only watches what is stored need not see them.
inline SharedMemoryHooks* shared_memory_hooks = nullptr;
inline SharedMemoryHooks* shared_load_hooks = nullptr;
inline void SetSharedMemoryHooks(SharedMemoryHooks* all, SharedMemoryHooks* loads) {
  shared_memory_hooks = all;
  shared_load_hooks = loads;
}

// Where a fuzzer counts branches, those between a harness and none are not the store's: each access is a call of one
// function without counters, and without the sanitizers' looks at the harness, which take longer than most accesses.
// The word itself, where no harness has it, they look at.
#if defined(__has_feature)
#if __has_feature(coverage_sanitizer)
#define LIGHTNING_ACCESS __attribute__((noinline, no_sanitize("coverage", "vptr", "address")))
#define LIGHTNING_PLAIN __attribute__((noinline, no_sanitize("coverage")))
#endif
#endif
#ifndef LIGHTNING_ACCESS
#define LIGHTNING_ACCESS
#define LIGHTNING_PLAIN
#endif

// As much of std::atomic as the store uses. The orders are x86's whatever is asked for: loads and stores are plain
// ones, the rest is locked.
template <typename T>
class Atomic {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8);

 public:
  LIGHTNING_ACCESS T load(std::memory_order = std::memory_order_seq_cst) const {
    if (shared_load_hooks == nullptr) return Plain();
    return static_cast<T>(shared_load_hooks->Load(&value_, sizeof value_));
  }
  // Not for sequentially consistent stores, which are locked instructions: exchange() is.
  LIGHTNING_ACCESS void store(T value, std::memory_order) {
    if (shared_memory_hooks == nullptr) {
      SetPlain(value);
    } else {
      shared_memory_hooks->Store(&value_, sizeof value_, value);
    }
  }
  LIGHTNING_ACCESS T exchange(T value, std::memory_order = std::memory_order_seq_cst) {
    if (shared_memory_hooks != nullptr)
      return static_cast<T>(shared_memory_hooks->Exchange(&value_, sizeof value_, value));
    const T before = Plain();
    SetPlain(value);
    return before;
  }
  LIGHTNING_ACCESS T fetch_add(T value, std::memory_order = std::memory_order_seq_cst) {
    if (shared_memory_hooks != nullptr)
      return static_cast<T>(shared_memory_hooks->FetchAdd(&value_, sizeof value_, value));
    const T before = Plain();
    SetPlain(before + value);
    return before;
  }
  LIGHTNING_ACCESS bool compare_exchange_strong(T& expected, T desired, std::memory_order = std::memory_order_seq_cst) {
    const T before =
        shared_memory_hooks == nullptr
            ? Plain()
            : static_cast<T>(shared_memory_hooks->CompareExchange(&value_, sizeof value_, expected, desired));
    if (before != expected) {
      expected = before;
      return false;
    }
    if (shared_memory_hooks == nullptr) SetPlain(desired);
    return true;
  }

 private:
  LIGHTNING_PLAIN T Plain() const { return value_; }
  LIGHTNING_PLAIN void SetPlain(T value) { value_ = value; }

  T value_;
};

LIGHTNING_ACCESS inline void FullFence() {
  if (shared_memory_hooks != nullptr) shared_memory_hooks->Fence();
}
LIGHTNING_ACCESS inline void BeforePayload(void* place, uint64_t size) {
  if (shared_memory_hooks != nullptr) shared_memory_hooks->Payload(place, size);
}
LIGHTNING_ACCESS inline uint64_t Ticks() { return shared_memory_hooks != nullptr ? shared_memory_hooks->Ticks() : 0; }
inline constexpr int kSpins = 0;  // nobody else moves while one spins
#undef LIGHTNING_ACCESS
#undef LIGHTNING_PLAIN

#endif

}  // namespace lightning
