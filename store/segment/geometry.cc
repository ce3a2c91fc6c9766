#include "store/segment/geometry.h"

namespace lightning {
namespace {

// Ids beyond max_objects: what replaced objects occupy until their readers are gone, and what caches keep at hand.
uint32_t SpareObjects(uint32_t max_clients) { return 64 + 16 * max_clients; }

}  // namespace

Result<Geometry> Geometry::Compute(const Options& options) {
  constexpr uint64_t kMaxObjects = uint64_t{1} << 30;
  constexpr uint64_t kMaxHeap = (uint64_t{1} << 32) * kGranule - kGranule;
  if (options.max_objects == 0 || options.max_objects > kMaxObjects)
    return Status(Code::kInvalidArgument, "max_objects must be 1 to 2^30");
  if (options.max_clients == 0 || options.max_clients > kMaxClientSlots)
    return Status(Code::kInvalidArgument, "max_clients must be 1 to 1024");
  if (options.max_pins == 0 || options.max_pins > (1u << 24))
    return Status(Code::kInvalidArgument, "max_pins must be 1 to 2^24");
  if (options.event_slots == 0 || options.event_slots > (1u << 20))
    return Status(Code::kInvalidArgument, "event_slots must be 1 to 2^20");
  if (static_cast<uint32_t>(options.eviction) > static_cast<uint32_t>(Eviction::kLru))
    return Status(Code::kInvalidArgument, "unknown eviction policy");
  if (options.size > uint64_t{1} << 46) return Status(Code::kInvalidArgument, "size must be at most 64 TiB");

  Geometry g;
  g.size = RoundUp(options.size, kPageSize);
  g.max_objects = options.max_objects;
  g.max_clients = options.max_clients;
  g.max_pins = options.max_pins;
  g.event_slots = options.event_slots;
  g.objects = g.max_objects + SpareObjects(g.max_clients);
  // Four objects a home bucket of eight; a chain wastes less than one bucket, so that an eighth as many overflow
  // buckets as objects is enough for any distribution of keys.
  g.home_buckets = g.max_objects / 4 + 1;
  g.overflow_buckets = g.max_objects / kBucketEntries + 1;
  // Each object and each cached block is at most one extent, and between two of them lies at most one free extent.
  g.blocks = 2 * (g.objects + kBlockCache * g.max_clients) + 2;

  g.slot_stride = RoundUp(sizeof(Slot), kPageSize);
  g.client_page_stride = RoundUp(sizeof(ClientPage) + sizeof(Atomic<uint32_t>) * uint64_t{g.max_pins}, kPageSize);

  uint64_t end = kPageSize;
  auto place = [&end](uint64_t bytes) {
    const uint64_t at = end;
    end = RoundUp(end + bytes, kPageSize);
    return at;
  };
  g.central = place(sizeof(Central));
  g.slots = place(g.slot_stride * g.max_clients);
  g.buckets = place(sizeof(Bucket) * (uint64_t{g.home_buckets} + g.overflow_buckets));
  g.object_table = place(sizeof(Object) * uint64_t{g.objects});
  g.block_table = place(sizeof(Block) * uint64_t{g.blocks});
  g.events = place(sizeof(EventSlot) * uint64_t{g.event_slots});
  g.control_end = end;
  g.client_pages = place(g.client_page_stride * g.max_clients);
  g.doorbells = place(kPageSize);
  g.heap = end;
  if (g.heap + kPageSize > g.size)
    return Status(Code::kInvalidArgument, "size is too small for max_objects, max_clients and max_pins");
  if (g.size - g.heap > kMaxHeap) return Status(Code::kInvalidArgument, "the heap may have at most 256 GiB");
  g.heap_granules = static_cast<uint32_t>((g.size - g.heap) / kGranule);
  return g;
}

}  // namespace lightning
