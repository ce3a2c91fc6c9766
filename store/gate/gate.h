// The gate: every store to the segment goes through it, and only while a window is open.
//
// A client maps the file twice: the view, read-only, for every load by any thread; and the control mapping, writable
// inside a window alone. What "inside a window" means is the mode's:
//
//   keys      the control mapping has a protection key; a window gives this thread, and no other, the right to it
//   mprotect  the control mapping is read-only; a window makes the pages writable that it touches, and only those, so
//             that its cost does not grow with the segment
//   hidden    the control mapping stands at a random address between wide guard regions; a window decodes the address
//   none      there is one mapping, always writable
//
// Inside a window: no system call (mprotect's own apart), no callback, no allocation, no throw, and no pointer of the
// caller's that has not been checked with Overlaps().
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "lightning/options.h"
#include "lightning/status.h"
#include "store/gate/pkru.h"
#include "store/gate/process_key.h"
#include "store/segment/geometry.h"
#include "store/segment/window_watch.h"

namespace lightning {

// The mode that kAuto stands for on this machine.
Isolation DefaultIsolation();

class Gate {
 public:
  // Maps the segment in `fd`. The descriptor is not needed afterwards.
  static Result<std::unique_ptr<Gate>> Map(int fd, const Geometry& geometry, const Options& options);
  // Mode none over memory of the caller's, which outlives the gate. For harnesses.
  static std::unique_ptr<Gate> OverMemory(std::byte* memory, uint64_t size);
  ~Gate();
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;

  Isolation mode() const { return mode_; }
  const std::byte* view() const { return view_; }
  // Whether the caller's [data, data + size) touches the control mapping, which no operation may read from.
  bool Overlaps(const void* data, size_t size) const;

  // A writable mapping of some whole pages outside the gate's protection, until Unexpose, between guard regions. Not
  // inside a window.
  Result<std::span<std::byte>> Expose(uint64_t offset, uint64_t size);
  void Unexpose(std::span<std::byte> exposed);

  // At the entry of an operation, before it takes anything: whether this thread's rights are as they have to be. What a
  // window that was left open, or a signal handler that interrupted one, leads to: kIsolationBroken, or the end.
  Status CheckEntry() const {
    if (mode_ != Isolation::kKeys) return {};
    return EntryIsWell() ? Status() : BadEntry();
  }
  // With the client's turn held and before its first window: whether one had been left open, which is shut now, and is
  // the caller's to report (kOpenRights). In mode keys CheckEntry is who tells: the rights are each thread's own.
  bool FindsWindowLeftOpen() {
    if (!WindowIsOpen()) [[likely]]
      return false;
    return ShutLeftOpen();
  }
  // At this moment, in any thread.
  bool WindowIsOpen() const { return (windows_.load(std::memory_order_relaxed) & 1) != 0; }
  // Odd while a window is open. For whoever watches windows: an audit, a tracer.
  const std::atomic<uint64_t>& windows() const { return windows_; }

  // Where a gate's mappings are and how they have to be, for an audit and for hardening.
  struct Mappings {
    struct Range {
      uint64_t begin = 0, end = 0;
      bool Contains(uint64_t from, uint64_t to) const { return begin <= from && to <= end; }
      bool Touches(uint64_t from, uint64_t to) const { return begin < to && from < end; }
    };
    const Gate* gate = nullptr;
    Isolation mode = Isolation::kNone;
    int key = -1;
    bool complete = false;  // false: being made or taken down, or another process's
    Range reserved;         // the control mapping with its guard regions
    Range control, view, spare;
    std::vector<Range> exposed;  // without their guard regions
    std::vector<Range> moving;   // those that are being made or taken back: nothing can be said about them
    uint64_t windows = 0;
  };
  // Calls `use` with the mappings of every gate of this process over a file. None comes or goes meanwhile.
  template <typename Use>
  static void WithAll(Use use) {
    const All all;
    use(all.mappings());
  }
  static constexpr uint64_t kExposedGuard = uint64_t{64} << 10;  // bytes on each side of exposed pages
  // From now on, every gate that there is leaves its addresses reserved when it goes: a filter names them.
  static void KeepAddresses();

  // What a failed mprotect leads to, and a breach without a handler: a message and abort.
  [[noreturn]] static void Fail(const char* what);

 private:
  friend class Window;
  Gate() = default;
  // Holds the list of gates still.
  class All {
   public:
    All();
    ~All();
    const std::vector<Mappings>& mappings() const { return mappings_; }

   private:
    std::vector<Mappings> mappings_;
  };

  std::byte* base() const { return reinterpret_cast<std::byte*>(hidden_base_ ^ mask_); }
  void Open();
  void Close();
  // Mode mprotect: makes the pages of [offset, offset + size) writable until Close.
  void Touch(uint64_t offset, uint64_t size);
  void CloseTouched();
  bool EntryIsWell() const;
  Status BadEntry() const;
  bool ShutLeftOpen();
  Status ChooseMode(Isolation isolation);
  Status MapControl(int fd, const Options& options);
  void Prefault();
  Status Protect();
  Status Seal(int fd);
  bool MakeWritable(std::span<std::byte> pages) const;
  // The list of gates (gate_list.cc). Another thread's audit takes what is not on it for an alias, so a gate is there
  // before its mappings and after them; it is judged while it is complete.
  void Register();
  void Complete();
  bool StartLeaving();  // whether the addresses have to stay reserved
  void Unregister();
  void NoteExposed(std::span<std::byte> pages);
  void SettleExposed(std::span<std::byte> pages, bool settled);
  void ForgetExposed(std::span<std::byte> pages);
  Mappings Describe() const;

  struct PageRange {
    uint64_t begin, end;  // byte offsets
  };

  Isolation mode_ = Isolation::kNone;
  bool owns_memory_ = true;
  uint64_t size_ = 0;
  uint64_t guard_ = 0;        // bytes of guard region on each side of the control mapping
  uint64_t hidden_base_ = 0;  // address of the control mapping, xor mask_: in mode hidden no pointer to it is kept
  uint64_t mask_ = 0;
  const std::byte* view_ = nullptr;
  std::byte* spare_ = nullptr;  // where the rest is sealed: a mapping without access, of which exposures are made
  bool sealed_ = false;
  bool keep_addresses_ = false;
  bool complete_ = false;
  pid_t process_ = 0;
  std::atomic<uint64_t> windows_{0};  // opened and closed; written by the one thread that has the window
  struct Exposed {
    std::span<std::byte> pages;
    bool settled;  // false: being mapped or unmapped
  };
  std::vector<Exposed> exposed_;
  ProcessKey key_;
  std::vector<PageRange> touched_;  // used by the one thread that has the window open
};

// An open window. One at a time a Gate; the Client sees to that.
class Window {
 public:
  explicit Window(Gate& gate) : gate_(gate) { Resume(); }
  ~Window() {
    if (!open_) return;
    WindowCloses();
    gate_.Close();
  }
  Window(const Window&) = delete;
  Window& operator=(const Window&) = delete;

  // Closes the window for a system call or a wait; Resume opens it again.
  void Suspend() {
    WindowCloses();
    gate_.Close();
    open_ = false;
  }
  void Resume() {
    gate_.Open();
    base_ = gate_.base();
    touches_ = gate_.mode_ == Isolation::kMprotect;
    open_ = true;
    WindowOpens();
  }
  Gate& gate() { return gate_; }

  void Store(const OwnWord& word, uint64_t value) { Raw(word)->store(value, std::memory_order_release); }
  // From held to free.
  void Store(const LockWord& word, uint64_t value) { Raw(word)->store(value, std::memory_order_release); }
  bool CompareExchange(const LockWord& word, uint64_t expected, uint64_t desired) {
    return Raw(word)->compare_exchange_strong(expected, desired, std::memory_order_seq_cst);
  }
  bool CompareExchange(const StateWord& word, uint64_t expected, uint64_t desired) {
    return Raw(word)->compare_exchange_strong(expected, desired, std::memory_order_seq_cst);
  }
  // Payload: what stands in the heap, in an event slot, or in a client page.
  std::byte* Payload(uint64_t offset, uint64_t size) {
    Touch(offset, size);
    BeforePayload(base_ + offset, size);
    return base_ + offset;
  }
  // Zeroes payload of whole 4-byte words, of which few are not zero and which others may be reading as atomics.
  // REQUIRES: `offset` is a multiple of 8, or of 4 where `size` is below 64.
  void Clear(uint64_t offset, uint64_t size);

 private:
  friend class Transaction;
  friend class Recovery;
  // For those two alone: everyone else's stores to a Cell would not be logged.
  void Store(const Cell& word, uint64_t value) { Raw(word)->store(value, std::memory_order_release); }

  Atomic<uint64_t>* Raw(const internal::Word& word) {
    const auto offset = static_cast<uint64_t>(reinterpret_cast<const std::byte*>(&word) - gate_.view_);
    Touch(offset, sizeof word);
    return &reinterpret_cast<internal::Word*>(base_ + offset)->value_;
  }
  void Touch(uint64_t offset, uint64_t size) {
    if (__builtin_expect(touches_, 0)) gate_.Touch(offset, size);
  }
  void Touch(const internal::Word& word) {
    Touch(static_cast<uint64_t>(reinterpret_cast<const std::byte*>(&word) - gate_.view_), sizeof word);
  }
  bool touches() const { return touches_; }
  // REQUIRES: Touch was called for its page if touches().
  void StoreTouched(const internal::Word& word, uint64_t value) {
    auto* place = base_ + (reinterpret_cast<const std::byte*>(&word) - gate_.view_);
    reinterpret_cast<internal::Word*>(place)->value_.store(value, std::memory_order_release);
  }

  // The way from the view to the control mapping, for a run of stores without Suspend. REQUIRES: not touches().
  class Direct {
   public:
    explicit Direct(const Window& window) : way_(window.base_ - window.gate_.view_) {}
    void Store(const internal::Word& word, uint64_t value) const {
      auto* place = const_cast<std::byte*>(reinterpret_cast<const std::byte*>(&word)) + way_;
      reinterpret_cast<internal::Word*>(place)->value_.store(value, std::memory_order_release);
    }

   private:
    const std::ptrdiff_t way_;
  };

  Gate& gate_;
  std::byte* base_ = nullptr;
  bool touches_ = false;
  bool open_ = false;
};

// Nesting of windows in this thread: tells a handler that interrupted a window from a thread older than the key.
extern constinit thread_local uint32_t open_windows __attribute__((tls_model("initial-exec")));

inline bool Gate::EntryIsWell() const { return open_windows == 0 && (pkru::Read() >> (2 * key_.value()) & 1) != 0; }

inline void Gate::Open() {
  windows_.store(windows_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  if (mode_ != Isolation::kKeys) return;
  if (open_windows != 0) Fail("an operation was entered from a signal handler that interrupted another");
  const uint32_t rights = pkru::Open(key_.value());
  if ((rights & 1) == 0) Fail("a window had been left open (by longjmp, swapcontext or an edited signal frame)");
  open_windows = 1;
}

inline void Gate::Close() {
  if (mode_ == Isolation::kKeys) {
    open_windows = 0;
    pkru::Close(key_.value());
  } else if (mode_ == Isolation::kMprotect) {
    CloseTouched();
  }
  windows_.store(windows_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

}  // namespace lightning
