#include "fuzz/specimen.h"

#include <cstdlib>
#include <cstring>
#include <map>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "faults/plan/plan_segment.h"
#include "fuzz/panic.h"
#include "fuzz/support.h"
#include "store/client/core.h"
#include "store/segment/address_sanitizer.h"
#include "store/segment/segment_file.h"

namespace lightning::fuzz {
namespace {

// The client that works dies at one of its stores.
class DeathHooks final : public SharedMemoryHooks {
 public:
  explicit DeathHooks(uint32_t death) : left_(death) {}
  uint64_t Load(const void*, uint32_t) override { return 0; }  // nobody asks: loads have no hooks
  void Store(void* place, uint32_t size, uint64_t value) override {
    memcpy(place, &value, size);
    Step();
  }
  uint64_t Exchange(void* place, uint32_t size, uint64_t value) override {
    const uint64_t before = Read(place, size);
    Store(place, size, value);
    return before;
  }
  uint64_t FetchAdd(void* place, uint32_t size, uint64_t value) override {
    const uint64_t before = Read(place, size);
    Store(place, size, before + value);
    return before;
  }
  uint64_t CompareExchange(void* place, uint32_t size, uint64_t expected, uint64_t desired) override {
    const uint64_t before = Read(place, size);
    if (before == expected) Store(place, size, desired);
    return before;
  }
  void Fence() override {}
  void Payload(void*, uint64_t) override {}
  uint64_t Ticks() override { return ++ticks_; }

 private:
  static uint64_t Read(const void* place, uint32_t size) {
    uint64_t value = 0;
    memcpy(&value, place, size);
    return value;
  }
  void Step() {
    if (left_ != 0 && --left_ == 0) LeaveBody("this client was to die here");
  }

  uint32_t left_;
  uint64_t ticks_ = 0;
};

std::string LongKey() { return "long-" + std::string(120, 'k'); }

// What is there before anybody dies. Key "a" is in every script.
void Prepare(Client& client, uint32_t script) {
  const std::string big(3000, 'v');
  std::ignore = client.Put("a", "first");
  if (script == 0) return;
  PutOptions options;
  options.metadata = AsBytes(std::string_view("meta"));
  std::ignore = client.Put("b", big, options);
  std::ignore = client.Put(LongKey(), big);
  std::ignore = client.Put("a", "second");
  if (script == 1) return;
  for (int i = 0; i < 12; ++i)
    std::ignore = client.Put("key-" + std::to_string(i), std::string(static_cast<size_t>(i) * 40, 'x'));
  for (int i = 0; i < 12; i += 3) std::ignore = client.Delete("key-" + std::to_string(i));
}

// What the last client is at when it dies.
void Work(Client& client, uint32_t script) {
  Result<Handle> pinned = client.Get("a");
  Result<Subscription> events = client.Subscribe();
  switch (script) {
    case 0:
      std::ignore = client.Put("z", "new");
      std::ignore = client.Delete("a");
      break;
    case 1: {
      Result<Writer> writer = client.Create("open", 500);
      std::ignore = client.Put("b", "shorter");
      if (writer.ok()) static_cast<void>(writer->Seal());
      break;
    }
    case 2: {
      const BatchItem items[] = {{"a", AsBytes(std::string_view("1")), {}},
                                 {"batch", AsBytes(std::string_view("2")), {}}};
      std::ignore = client.PutBatch(items);
      break;
    }
    default:
      std::ignore = client.Delete(LongKey());
      std::ignore = client.Evict(2000);
  }
}

}  // namespace

Specimen::Specimen() {
  faults::PlanSegment small;
  small.max_pins = 8;
  options_ = *faults::SegmentOptions(small);
  fresh_ = geometry_ = *Geometry::Compute(options_);
  size_ = fresh_.size;
  Require(size_ == kSize, "the specimen has another size");
  data_ = static_cast<std::byte*>(aligned_alloc(kPageSize, size_));
  world_ = std::make_shared<faults::World>();
}

Specimen::~Specimen() {
  ASAN_UNPOISON_MEMORY_REGION(data_, size_);
  free(data_);
}

std::vector<std::byte> Specimen::Make(uint32_t script, uint32_t death) {
  LoadNothing();
  options_.eviction = script == 3 ? Eviction::kLru : Eviction::kNone;
  geometry_ = fresh_;
  FormatSegment(data_, geometry_, options_);
  {
    Result<Client> first = Attach();
    Prepare(*first, script);
  }
  UntilPanic([&] {
    // The first slot stays free, so that whoever comes need not heal at once.
    Result<Client> here = Attach();
    auto* const there = new Result<Client>(Attach());
    here->Close();
    DeathHooks hooks(death);
    SetSharedMemoryHooks(death == 0 ? nullptr : &hooks, nullptr);
    Work(**there, script);
    LeaveBody("it lives on, or dies at rest");
  });
  SetSharedMemoryHooks(nullptr, nullptr);
  return {data_, data_ + size_};
}

void Specimen::Load(uint32_t script, uint32_t death) {
  static std::map<std::pair<uint32_t, uint32_t>, std::vector<std::byte>> made;
  script %= kScripts;
  death %= kDeaths;
  auto& bytes = made[{script, death}];
  if (bytes.empty()) bytes = Make(script, death * kStoresBetweenDeaths);
  ASAN_UNPOISON_MEMORY_REGION(data_, size_);
  memcpy(data_, bytes.data(), size_);
  geometry_ = fresh_;
  *world_ = faults::World();
  world_->dead[kVictim] = death != 0;
}

void Specimen::LoadNothing() {
  ASAN_UNPOISON_MEMORY_REGION(data_, size_);
  memset(data_, 0, size_);
  *world_ = faults::World();
}

Status Specimen::ReadSuperblock() {
  Superblock superblock;
  memcpy(&superblock, data_, sizeof superblock);
  const Result<Geometry> geometry = CheckSuperblock(superblock, size_);
  if (!geometry.ok()) return geometry.status();
  geometry_ = *geometry;
  ASAN_POISON_MEMORY_REGION(data_ + geometry_.size, size_ - geometry_.size);
  return {};
}

void Specimen::RepairChecksum() {
  Superblock superblock;
  memcpy(&superblock, data_, sizeof superblock);
  superblock.checksum = 0;
  superblock.checksum = XXH3_64bits_withSeed(&superblock, sizeof superblock, kMagic) | 1;
  memcpy(data_, &superblock, sizeof superblock);
}

Result<Client> Specimen::Attach() {
  ClientParts parts;
  parts.gate = Gate::OverMemory(data_, geometry_.size);
  parts.kernel = faults::MakeWorldKernel(world_);
  parts.geometry = geometry_;
  parts.path = "memory";
  parts.lock_timeout = Nanoseconds(200'000);  // simulated: it passes as fast as somebody waits
  return ClientCore::AttachClient(std::move(parts));
}

CheckReport Specimen::Check() {
  return CheckSegment(segment(), [this](SlotIndex slot) { return !world_->dead[slot]; });
}

}  // namespace lightning::fuzz
