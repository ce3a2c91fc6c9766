// The read side of an attached segment: typed, bounds-checked access to its tables through a read-only view.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "store/segment/geometry.h"
#include "store/segment/layout.h"

namespace lightning {

// Ends the process: shared state is not what the store's invariants say, and going on could spread the damage.
[[noreturn]] void Panic(const char* condition, const char* file, int line);

// Stays on in release builds: each guards shared state.
#define LIGHTNING_ASSERT(condition) \
  (__builtin_expect(!!(condition), 1) ? void() : ::lightning::Panic(#condition, __FILE__, __LINE__))

class Segment {
 public:
  Segment() = default;
  Segment(const std::byte* view, const Geometry& geometry) : view_(view), geometry_(geometry) {}

  const Geometry& geometry() const { return geometry_; }
  const std::byte* view() const { return view_; }
  const Superblock& super() const { return *At<Superblock>(0); }
  const Central& central() const { return *At<Central>(geometry_.central); }
  const Slot& slot(SlotIndex i) const {
    LIGHTNING_ASSERT(i < geometry_.max_clients);
    return *At<Slot>(geometry_.SlotOffset(i));
  }
  // Slots from this index on were never attached to.
  uint32_t slots_used() const {
    const uint64_t used = central().slots_used.Load();
    return used < geometry_.max_clients ? static_cast<uint32_t>(used) : geometry_.max_clients;
  }
  const Bucket& home(uint64_t hash) const {
    return Table<Bucket>(geometry_.buckets)[(hash >> 32) * geometry_.home_buckets >> 32];
  }
  const Bucket& home_at(uint32_t index) const { return Table<Bucket>(geometry_.buckets)[index]; }
  const ClientPage& client_page(SlotIndex i) const { return *At<ClientPage>(geometry_.ClientPageOffset(i)); }
  const EventSlot& event(uint64_t sequence) const {
    return Table<EventSlot>(geometry_.events)[sequence % geometry_.event_slots];
  }

  // By id. What a corrupt segment makes of an id is caught here, or asked about first with Valid().
  bool Valid(ObjectId id) const { return id.value != 0 && id.value <= geometry_.objects; }
  bool Valid(BlockId id) const { return id.value != 0 && id.value <= geometry_.blocks; }
  bool Valid(BucketId id) const { return id.value != 0 && id.value <= geometry_.overflow_buckets; }
  const Object& object(ObjectId id) const {
    LIGHTNING_ASSERT(Valid(id));
    return Table<Object>(geometry_.object_table)[id.index()];
  }
  const Block& block(BlockId id) const {
    LIGHTNING_ASSERT(Valid(id));
    return Table<Block>(geometry_.block_table)[id.index()];
  }
  const Bucket& overflow(BucketId id) const {
    LIGHTNING_ASSERT(Valid(id));
    return Table<Bucket>(geometry_.buckets)[geometry_.home_buckets + uint64_t{id.index()}];
  }
  // Whether [offset, offset + size) lies in the heap.
  bool InHeap(uint64_t offset, uint64_t size) const {
    return offset >= geometry_.heap && offset <= geometry_.size && size <= geometry_.size - offset;
  }
  const std::byte* bytes(uint64_t offset) const { return view_ + offset; }

  uint64_t OffsetOf(const void* place) const {
    return static_cast<uint64_t>(static_cast<const std::byte*>(place) - view_);
  }
  // Whether an undo log may name this offset: a Cell of the control region.
  bool IsCell(uint64_t offset) const;
  // Whether a list of held locks may name this offset.
  bool IsLock(uint64_t offset) const;

 private:
  template <typename T>
  const T* At(uint64_t offset) const {
    return reinterpret_cast<const T*>(view_ + offset);
  }
  template <typename T>
  const T* Table(uint64_t offset) const {
    return reinterpret_cast<const T*>(view_ + offset);
  }

  const std::byte* view_ = nullptr;
  Geometry geometry_;
};

}  // namespace lightning
