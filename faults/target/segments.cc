#include "faults/target/segments.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

#include "store/client/core.h"

namespace lightning::faults {

Pages::Pages(uint64_t size) : size_(size) {
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  LIGHTNING_ASSERT(memory != MAP_FAILED);
  data_ = static_cast<std::byte*>(memory);
}
Pages::~Pages() { munmap(data_, size_); }

namespace {

Geometry MustCompute(const Options& options) {
  const Result<Geometry> geometry = Geometry::Compute(options);
  LIGHTNING_ASSERT(geometry.ok());
  return *geometry;
}

}  // namespace

MemorySegment::MemorySegment(const Options& options) : MemorySegment(MustCompute(options)) {
  FormatSegment(memory_.data(), geometry_, options);
}

MemorySegment::MemorySegment(const Geometry& geometry)
    : geometry_(geometry), memory_(geometry.size), segment_(memory_.data(), geometry) {}

void MemorySegment::Load(const std::byte* image) {
  memcpy(memory_.data(), image, geometry_.size);
  world_ = std::make_shared<World>();
}

Result<Client> MemorySegment::Attach() {
  ClientParts parts;
  parts.gate = Gate::OverMemory(memory_.data(), memory_.size());
  parts.kernel = MakeWorldKernel(world_);
  parts.geometry = geometry_;
  parts.path = "memory";
  parts.lock_timeout = Nanoseconds(2'000'000);  // simulated time: it passes as fast as somebody waits
  return ClientCore::AttachClient(std::move(parts));
}

Result<std::unique_ptr<FileSegment>> FileSegment::Create(const Options& options) {
  static uint32_t count = 0;
  std::unique_ptr<FileSegment> file(new FileSegment);
  file->path_ = fmt::format("/dev/shm/lightning-faults.{:010}.{:06}", getpid(), ++count % 1'000'000);
  file->options_ = options;
  unlink(file->path_.c_str());  // of an earlier process of this number that was killed
  const Result<Store> store = Store::Open(file->path_, options);
  if (!store.ok()) return store.status();
  const Result<OpenedSegment> opened = OpenSegmentFile(file->path_);
  if (!opened.ok()) return opened.status();
  void* view = mmap(nullptr, opened->geometry.size, PROT_READ, MAP_SHARED, opened->fd.get(), 0);
  if (view == MAP_FAILED) return Status(Code::kSystem, "mapping the segment", errno);
  file->view_ = static_cast<const std::byte*>(view);
  file->segment_ = Segment(file->view_, opened->geometry);
  return file;
}

FileSegment::~FileSegment() {
  if (view_ != nullptr) munmap(const_cast<std::byte*>(view_), segment_.geometry().size);
  if (!path_.empty()) unlink(path_.c_str());
}

Result<Client> FileSegment::Attach() {
  const Result<Store> store = Store::Open(path_, options_);
  if (!store.ok()) return store.status();
  return store->Connect();
}

SlotIndex SlotOf(const Client& client) { return ClientCore::Of(client)->environment().self; }

}  // namespace lightning::faults
