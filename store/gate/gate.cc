#include "store/gate/gate.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "store/gate/system_call.h"

namespace lightning {

constinit thread_local uint32_t open_windows __attribute__((tls_model("initial-exec"))) = 0;

namespace {

constexpr uint64_t kGuard = uint64_t{1} << 20;
constexpr uint64_t kWideGuard = uint64_t{1} << 30;  // mode hidden: an overrun has far to go

// Where random places are: in the lower half of a process's addresses; under the thread sanitizer, where its shadow has
// room for a program's mappings.
#if defined(__SANITIZE_THREAD__)
constexpr bool kThreadSanitizer = true;
#elif defined(__has_feature)
constexpr bool kThreadSanitizer = __has_feature(thread_sanitizer);
#else
constexpr bool kThreadSanitizer = false;
#endif
constexpr uint64_t kRandomFrom = kThreadSanitizer ? 0x7E80'0000'0000 : 0;
constexpr uint64_t kRandomSpan = uint64_t{1} << (kThreadSanitizer ? 40 : 46);

// Newer than some headers: MADV_POPULATE_* of Linux 5.14, mseal of Linux 6.10.
constexpr int kPopulateRead = 22, kPopulateWrite = 23;
constexpr long kMseal = 462;

uint64_t Random() {
  uint64_t value = 0;
  if (getrandom(&value, sizeof value, 0) != sizeof value) value = reinterpret_cast<uintptr_t>(&value);
  return value;
}

// Reserves `size` bytes of address space without access: anywhere, or at a random place.
std::byte* Reserve(uint64_t size, bool random) {
  constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  for (int attempt = 0; random && attempt < 64; ++attempt) {
    const uint64_t address = (kRandomFrom + Random() % kRandomSpan) & ~(kPageSize - 1);
    void* place = mmap(reinterpret_cast<void*>(address), size, PROT_NONE, kFlags | MAP_FIXED_NOREPLACE, -1, 0);
    if (place == reinterpret_cast<void*>(address)) return static_cast<std::byte*>(place);
    if (place != MAP_FAILED) munmap(place, size);  // a kernel that takes the address for a hint
  }
  void* place = mmap(nullptr, size, PROT_NONE, kFlags, -1, 0);
  return place == MAP_FAILED ? nullptr : static_cast<std::byte*>(place);
}

Status MapError() { return Status(Code::kSystem, "mapping the segment", errno); }

}  // namespace

Isolation DefaultIsolation() {
  static const Isolation isolation = MachineHasKeys() ? Isolation::kKeys : Isolation::kMprotect;
  return isolation;
}

Status Gate::ChooseMode(Isolation isolation) {
  mode_ = isolation == Isolation::kAuto ? DefaultIsolation() : isolation;
  if (mode_ != Isolation::kKeys) return {};
  Result<ProcessKey> key = ProcessKey::Acquire();
  if (key.ok()) {
    key_ = std::move(*key);
  } else if (isolation == Isolation::kAuto) {
    mode_ = Isolation::kMprotect;  // the program has taken all keys for itself
  } else {
    return key.status();
  }
  return {};
}

Result<std::unique_ptr<Gate>> Gate::Map(int fd, const Geometry& geometry, const Options& options) {
  std::unique_ptr<Gate> gate(new Gate);
  gate->size_ = geometry.size;
  Status status = gate->ChooseMode(options.isolation);
  if (status.ok()) status = gate->MapControl(fd, options);
  if (!status.ok()) return status;
  if (options.prefault) gate->Prefault();
  status = gate->Protect();
  if (status.ok() && options.seal) status = gate->Seal(fd);
  if (!status.ok()) return status;
  gate->Complete();
  return gate;
}

Status Gate::MapControl(int fd, const Options& options) {
  guard_ = mode_ == Isolation::kHidden ? kWideGuard : kGuard;
  // The guard is whole huge pages, so the mapping can be aligned for them.
  std::byte* reserved = Reserve(size_ + 2 * guard_, mode_ == Isolation::kHidden);
  if (reserved == nullptr) return MapError();
  std::byte* base = reserved + guard_;
  mask_ = mode_ == Isolation::kHidden ? Random() : 0;
  hidden_base_ = reinterpret_cast<uint64_t>(base) ^ mask_;
  Register();  // before anything writable is there: another thread's audit would take it for an alias
  if (mmap(base, size_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED) return MapError();
  if (options.huge_pages) madvise(base, size_, MADV_HUGEPAGE);
  if (mode_ == Isolation::kNone) {
    view_ = base;
    return {};
  }
  // A child gets no writable mapping of its parent's, also when another thread forks inside a window.
  if (madvise(base, size_, MADV_DONTFORK) != 0) return MapError();
  void* view = mmap(nullptr, size_, PROT_READ, MAP_SHARED, fd, 0);
  if (view == MAP_FAILED) return MapError();
  if (options.huge_pages) madvise(view, size_, MADV_HUGEPAGE);
  view_ = static_cast<const std::byte*>(view);
  return {};
}

void Gate::Prefault() {
  // Before the key or the protection is on: the kernel heeds both when it faults pages in. Failure costs only time.
  static_cast<void>(madvise(base(), size_, kPopulateWrite));
  if (view_ != base()) static_cast<void>(madvise(const_cast<std::byte*>(view_), size_, kPopulateRead));
}

Status Gate::Protect() {
  if (mode_ == Isolation::kKeys && GateProtectWithKey(base(), size_, PROT_READ | PROT_WRITE, key_.value()) != 0)
    return MapError();
  if (mode_ == Isolation::kMprotect) {
    if (GateProtect(base(), size_, PROT_READ) != 0) return MapError();
    touched_.reserve(512);
  }
  return {};
}

Status Gate::Seal(int fd) {
  const auto seal = [](const void* begin, uint64_t size) { return GateCall(kMseal, begin, size, 0) == 0; };
  // Asked for nothing, it answers whether there is such a call.
  if (!seal(base(), 0)) return Status(Code::kUnsupported, "this kernel has no mseal", errno);
  if (mode_ != Isolation::kNone) {
    // Nothing can be made of a sealed mapping any more, so exposures are made of this one, which nobody can access.
    void* spare = mmap(nullptr, size_, PROT_NONE, MAP_SHARED, fd, 0);
    if (spare == MAP_FAILED) return MapError();
    spare_ = static_cast<std::byte*>(spare);
    if (madvise(spare, size_, MADV_DONTFORK) != 0) return MapError();
  }
  // A named file knows no seals; there this does nothing.
  static_cast<void>(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW));
  sealed_ = true;
  key_.Keep();
  bool done = seal(base() - guard_, guard_) && seal(base() + size_, guard_);
  if (mode_ != Isolation::kMprotect) done = done && seal(base(), size_);
  if (mode_ != Isolation::kNone) done = done && seal(view_, size_);
  return done ? Status() : Status(Code::kSystem, "mseal of the segment's mappings", errno);
}

std::unique_ptr<Gate> Gate::OverMemory(std::byte* memory, uint64_t size) {
  std::unique_ptr<Gate> gate(new Gate);
  gate->owns_memory_ = false;
  gate->size_ = size;
  gate->hidden_base_ = reinterpret_cast<uint64_t>(memory);
  gate->view_ = memory;
  return gate;
}

Gate::~Gate() {
  if (!owns_memory_ || hidden_base_ == 0) return;
  const bool keep = StartLeaving();
  const bool unmap_view = view_ != nullptr && view_ != base();
  if (keep) {
    if (unmap_view) GateReserve(view_, size_);
    GateReserve(base(), size_);
  } else {
    if (unmap_view) GateUnmap(view_, size_);
    GateUnmap(base() - guard_, size_ + 2 * guard_);
  }
  if (spare_ != nullptr) GateUnmap(spare_, size_);
  Unregister();
}

bool Gate::Overlaps(const void* data, size_t size) const {
  if (mode_ == Isolation::kNone) return false;
  const auto begin = reinterpret_cast<uint64_t>(data);
  const auto base_address = reinterpret_cast<uint64_t>(base());
  return begin < base_address + size_ && begin + size > base_address;
}

bool Gate::MakeWritable(std::span<std::byte> pages) const {
  if (mode_ == Isolation::kKeys) return GateProtectWithKey(pages.data(), pages.size(), PROT_READ | PROT_WRITE, 0) == 0;
  if (mode_ == Isolation::kHidden && spare_ == nullptr) return true;  // as what it was made of is
  return GateProtect(pages.data(), pages.size(), PROT_READ | PROT_WRITE) == 0;
}

Result<std::span<std::byte>> Gate::Expose(uint64_t offset, uint64_t size) {
  if (mode_ == Isolation::kNone) return std::span(base() + offset, size);
  std::byte* reserved = Reserve(size + 2 * kExposedGuard, false);
  if (reserved == nullptr) return MapError();
  const std::span<std::byte> exposed(reserved + kExposedGuard, size);
  NoteExposed(exposed);
  // An old size of zero makes a second mapping of the same shared pages; it needs no descriptor.
  const std::byte* source = (spare_ != nullptr ? spare_ : base()) + offset;
  const bool done = GateCall(SYS_mremap, source, 0, size, MREMAP_MAYMOVE | MREMAP_FIXED,
                             reinterpret_cast<uint64_t>(exposed.data())) != -1 &&
                    MakeWritable(exposed);
  if (done) {
    SettleExposed(exposed, true);
    return exposed;
  }
  const Status status = MapError();
  Unexpose(exposed);
  return status;
}

void Gate::Unexpose(std::span<std::byte> exposed) {
  if (mode_ == Isolation::kNone || exposed.empty()) return;
  SettleExposed(exposed, false);
  if (GateUnmap(exposed.data() - kExposedGuard, exposed.size() + 2 * kExposedGuard) != 0)
    Fail("an exposed object could not be unmapped");
  ForgetExposed(exposed);
}

void Gate::Fail(const char* what) {
  WindowCloses();
  char text[256];
  const int size = snprintf(text, sizeof text, "lightning: %s; the process ends before it can harm the store\n", what);
  if (size > 0) {
    const ssize_t ignored = write(STDERR_FILENO, text, static_cast<size_t>(size));
    static_cast<void>(ignored);
  }
  abort();
}

void Gate::Touch(uint64_t offset, uint64_t size) {
  if (size == 0) return;
  const uint64_t begin = offset & ~(kPageSize - 1);
  const uint64_t end = RoundUp(offset + size, kPageSize);
  for (size_t i = touched_.size(); i-- > 0;) {
    if (touched_[i].begin <= begin && end <= touched_[i].end) return;
  }
  if (GateProtect(base() + begin, end - begin, PROT_READ | PROT_WRITE) != 0)
    Fail("mprotect could not open a page (vm.max_map_count may be too small)");
  touched_.push_back({begin, end});
}

void Gate::CloseTouched() {
  for (const PageRange& range : touched_) {
    if (GateProtect(base() + range.begin, range.end - range.begin, PROT_READ) != 0)
      Fail("mprotect could not close a page");
  }
  touched_.clear();
}

bool Gate::ShutLeftOpen() {
  CloseTouched();
  windows_.store(windows_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  return mode_ != Isolation::kKeys;
}

void Window::Clear(uint64_t offset, uint64_t size) {
  constexpr uint64_t kLine = 64;
  const auto load = [](uint64_t& word) { return std::atomic_ref<uint64_t>(word).load(std::memory_order_relaxed); };
  const auto clear = [](std::byte* at) {
    const std::atomic_ref<uint32_t> word(*reinterpret_cast<uint32_t*>(at));
    if (word.load(std::memory_order_relaxed) != 0) word.store(0, std::memory_order_release);
  };
  Touch(offset, size);
  std::byte* at = base_ + offset;
  std::byte* const end = at + size;
  for (; at + kLine <= end; at += kLine) {
    auto* words = reinterpret_cast<uint64_t*>(at);
    if ((load(words[0]) | load(words[1]) | load(words[2]) | load(words[3]) | load(words[4]) | load(words[5]) |
         load(words[6]) | load(words[7])) == 0)
      continue;
    BeforePayload(at, kLine);
    for (uint64_t i = 0; i < kLine; i += sizeof(uint32_t)) clear(at + i);
  }
  if (at < end) BeforePayload(at, static_cast<uint64_t>(end - at));
  for (; at < end; at += sizeof(uint32_t)) clear(at);
}

}  // namespace lightning
