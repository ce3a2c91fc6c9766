#include "store/gate/gate.h"

#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace lightning {

thread_local uint32_t open_windows __attribute__((tls_model("initial-exec"))) = 0;

namespace {

constexpr uint64_t kGuard = uint64_t{1} << 20;
constexpr uint64_t kWideGuard = uint64_t{1} << 30;  // mode hidden: an overrun has far to go

constexpr int kPopulateRead = 22, kPopulateWrite = 23;  // MADV_POPULATE_*, Linux 5.14, newer than some headers

uint64_t Random() {
  uint64_t value = 0;
  if (getrandom(&value, sizeof value, 0) != sizeof value) value = reinterpret_cast<uintptr_t>(&value);
  return value;
}

// Reserves `size` bytes of address space without access: anywhere, or at a random place of the lower half.
std::byte* Reserve(uint64_t size, bool random) {
  constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  for (int attempt = 0; random && attempt < 64; ++attempt) {
    const uint64_t address = (Random() % (uint64_t{1} << 46)) & ~(kPageSize - 1);
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

Result<std::unique_ptr<Gate>> Gate::Map(int fd, const Geometry& geometry, const Options& options) {
  std::unique_ptr<Gate> gate(new Gate);
  gate->mode_ = options.isolation == Isolation::kAuto ? DefaultIsolation() : options.isolation;
  gate->size_ = geometry.size;
  if (gate->mode_ == Isolation::kKeys) {
    Result<ProcessKey> key = ProcessKey::Acquire();
    if (!key.ok()) return key.status();
    gate->key_ = std::move(*key);
  }
  const Status status = gate->MapControl(fd, options.huge_pages);
  if (!status.ok()) return status;
  if (options.prefault) gate->Prefault(options);
  if (gate->mode_ == Isolation::kKeys &&
      pkey_mprotect(gate->base(), gate->size_, PROT_READ | PROT_WRITE, gate->key_.value()) != 0)
    return MapError();
  if (gate->mode_ == Isolation::kMprotect) {
    if (mprotect(gate->base(), gate->size_, PROT_READ) != 0) return MapError();
    gate->touched_.reserve(512);
  }
  return gate;
}

Status Gate::MapControl(int fd, bool huge_pages) {
  guard_ = mode_ == Isolation::kHidden ? kWideGuard : kGuard;
  // The guard is whole huge pages, so the mapping can be aligned for them.
  std::byte* reserved = Reserve(size_ + 2 * guard_, mode_ == Isolation::kHidden);
  if (reserved == nullptr) return MapError();
  std::byte* base = reserved + guard_;
  mask_ = mode_ == Isolation::kHidden ? Random() : 0;
  hidden_base_ = reinterpret_cast<uint64_t>(base) ^ mask_;
  if (mmap(base, size_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED) return MapError();
  if (huge_pages) madvise(base, size_, MADV_HUGEPAGE);
  if (mode_ == Isolation::kNone) {
    view_ = base;
    return {};
  }
  // A child gets no writable mapping of its parent's, also when another thread forks inside a window.
  if (madvise(base, size_, MADV_DONTFORK) != 0) return MapError();
  void* view = mmap(nullptr, size_, PROT_READ, MAP_SHARED, fd, 0);
  if (view == MAP_FAILED) return MapError();
  if (huge_pages) madvise(view, size_, MADV_HUGEPAGE);
  view_ = static_cast<const std::byte*>(view);
  return {};
}

void Gate::Prefault(const Options&) {
  // Before the key or the protection is on: the kernel heeds both when it faults pages in. Failure costs only time.
  static_cast<void>(madvise(base(), size_, kPopulateWrite));
  if (view_ != base()) static_cast<void>(madvise(const_cast<std::byte*>(view_), size_, kPopulateRead));
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
  if (!owns_memory_) return;
  if (view_ != nullptr && view_ != base()) munmap(const_cast<std::byte*>(view_), size_);
  if (hidden_base_ != 0) munmap(base() - guard_, size_ + 2 * guard_);
}

bool Gate::Overlaps(const void* data, size_t size) const {
  if (mode_ == Isolation::kNone) return false;
  const auto begin = reinterpret_cast<uint64_t>(data);
  const auto base_address = reinterpret_cast<uint64_t>(base());
  return begin < base_address + size_ && begin + size > base_address;
}

Result<std::span<std::byte>> Gate::Expose(uint64_t offset, uint64_t size) {
  if (mode_ == Isolation::kNone) return std::span(base() + offset, size);
  // An old size of zero makes a second mapping of the same shared pages; it needs no descriptor.
  void* place = mremap(base() + offset, 0, size, MREMAP_MAYMOVE);
  if (place == MAP_FAILED) return MapError();
  const int failed = mode_ == Isolation::kKeys ? pkey_mprotect(place, size, PROT_READ | PROT_WRITE, 0)
                                               : mprotect(place, size, PROT_READ | PROT_WRITE);
  if (failed != 0) {
    const Status status = MapError();
    munmap(place, size);
    return status;
  }
  return std::span(static_cast<std::byte*>(place), size);
}

void Gate::Unexpose(std::span<std::byte> exposed) {
  if (mode_ == Isolation::kNone || exposed.empty()) return;
  if (munmap(exposed.data(), exposed.size()) != 0) Fail("an exposed object could not be unmapped");
}

void Gate::Fail(const char* what) {
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
  if (mprotect(base() + begin, end - begin, PROT_READ | PROT_WRITE) != 0)
    Fail("mprotect could not open a page (vm.max_map_count may be too small)");
  touched_.push_back({begin, end});
}

void Gate::CloseTouched() {
  for (const PageRange& range : touched_) {
    if (mprotect(base() + range.begin, range.end - range.begin, PROT_READ) != 0)
      Fail("mprotect could not close a page");
  }
  touched_.clear();
}

}  // namespace lightning
