// Where each table of a segment begins: a pure function of the superblock's few numbers.
#pragma once

#include <cstdint>

#include "lightning/options.h"
#include "lightning/status.h"
#include "store/segment/layout.h"

namespace lightning {

struct Geometry {
  uint64_t size = 0;  // bytes of the file
  uint32_t max_objects = 0, max_clients = 0, max_pins = 0, event_slots = 0;

  // Counts.
  uint32_t home_buckets = 0, overflow_buckets = 0, objects = 0, blocks = 0, heap_granules = 0;
  // Byte offsets; each table but the buckets' overflow part begins on a page.
  uint64_t central = 0, slots = 0, buckets = 0, object_table = 0, block_table = 0, events = 0;
  uint64_t control_end = 0;  // end of what the gate guards; the heap is guarded too
  uint64_t client_pages = 0, doorbells = 0, heap = 0;
  uint64_t slot_stride = 0, client_page_stride = 0;

  // kInvalidArgument with the reason when the numbers do not fit together or into `options.size`.
  static Result<Geometry> Compute(const Options& options);

  uint64_t SlotOffset(SlotIndex slot) const { return slots + slot * slot_stride; }
  uint64_t ClientPageOffset(SlotIndex slot) const { return client_pages + slot * client_page_stride; }

  bool operator==(const Geometry&) const = default;
};

constexpr uint64_t RoundUp(uint64_t value, uint64_t unit) { return (value + unit - 1) / unit * unit; }

}  // namespace lightning
