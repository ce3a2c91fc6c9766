#include "store/segment/geometry.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "store/testing/testing.h"

namespace lightning {
namespace {

using test::SmallOptions;

struct Region {
  const char* name;
  uint64_t begin, bytes;
};

std::vector<Region> Regions(const Geometry& g) {
  return {{"superblock", 0, sizeof(Superblock)},
          {"central", g.central, sizeof(Central)},
          {"slots", g.slots, g.slot_stride * g.max_clients},
          {"buckets", g.buckets, sizeof(Bucket) * (uint64_t{g.home_buckets} + g.overflow_buckets)},
          {"objects", g.object_table, sizeof(Object) * uint64_t{g.objects}},
          {"blocks", g.block_table, sizeof(Block) * uint64_t{g.blocks}},
          {"events", g.events, sizeof(EventSlot) * uint64_t{g.event_slots}},
          {"client pages", g.client_pages, g.client_page_stride * g.max_clients},
          {"doorbells", g.doorbells, kPageSize},
          {"heap", g.heap, uint64_t{g.heap_granules} * kGranule}};
}

void ExpectRegionsInOrder(const Geometry& g) {
  uint64_t end = 0;
  for (const Region& region : Regions(g)) {
    EXPECT_EQ(region.begin % kPageSize, 0u) << region.name;
    EXPECT_GE(region.begin, end) << region.name << " overlaps what stands before it";
    EXPECT_GT(region.bytes, 0u) << region.name;
    end = region.begin + region.bytes;
  }
  EXPECT_LE(end, g.size);
  EXPECT_GE(g.control_end, g.events + sizeof(EventSlot) * uint64_t{g.event_slots});
  EXPECT_LE(g.control_end, g.client_pages);
}

TEST(GeometryTest, RegionsStandOnPagesAndDoNotOverlap) {
  for (const uint32_t objects : {1u, 16u, 64u, 65'536u, 1'000'003u}) {
    for (const uint32_t clients : {1u, 3u, 64u, 1024u}) {
      for (const uint32_t pins : {1u, 16u, 8192u}) {
        Options options = SmallOptions();
        options.size = uint64_t{1} << 30;
        options.max_objects = objects;
        options.max_clients = clients;
        options.max_pins = pins;
        const Result<Geometry> g = Geometry::Compute(options);
        ASSERT_TRUE(g.ok()) << g.status().ToString();
        ExpectRegionsInOrder(*g);
      }
    }
  }
}

// Each client's slot and page have pages to themselves: a window or an exposed page of one is no other's.
TEST(GeometryTest, ClientsDoNotSharePages) {
  const Result<Geometry> g = Geometry::Compute(SmallOptions());
  ASSERT_TRUE(g.ok());
  EXPECT_EQ(g->slot_stride % kPageSize, 0u);
  EXPECT_GE(g->slot_stride, sizeof(Slot));
  EXPECT_EQ(g->client_page_stride % kPageSize, 0u);
  EXPECT_GE(g->client_page_stride, offsetof(ClientPage, pins) + sizeof(uint32_t) * g->max_pins);
  EXPECT_EQ(g->SlotOffset(1) - g->SlotOffset(0), g->slot_stride);
  EXPECT_EQ(g->ClientPageOffset(3) - g->ClientPageOffset(2), g->client_page_stride);
}

TEST(GeometryTest, ASizeTooSmallForItsTablesIsRefused) {
  Options options = SmallOptions();
  uint64_t refused = 0, accepted = uint64_t{64} << 20;
  while (accepted - refused > kPageSize) {
    options.size = (refused + accepted) / 2 / kPageSize * kPageSize;
    const Result<Geometry> g = Geometry::Compute(options);
    if (g.ok()) {
      accepted = options.size;
    } else {
      EXPECT_EQ(g.code(), Code::kInvalidArgument);
      EXPECT_NE(g.status().ToString().find("too small"), std::string::npos);
      refused = options.size;
    }
  }
  options.size = accepted;
  const Result<Geometry> smallest = Geometry::Compute(options);
  ASSERT_TRUE(smallest.ok());
  ExpectRegionsInOrder(*smallest);
  EXPECT_EQ(smallest->heap_granules, kPageSize / kGranule) << "the smallest segment has one page of heap";
}

TEST(GeometryTest, NumbersOutOfRangeAreRefused) {
  const auto refused = [](auto change) {
    Options options = SmallOptions();
    change(options);
    return Geometry::Compute(options).code() == Code::kInvalidArgument;
  };
  EXPECT_TRUE(refused([](Options& o) { o.max_objects = 0; }));
  EXPECT_TRUE(refused([](Options& o) { o.max_objects = ~0u; }));
  EXPECT_TRUE(refused([](Options& o) { o.max_clients = 0; }));
  EXPECT_TRUE(refused([](Options& o) { o.max_clients = 1025; }));
  EXPECT_TRUE(refused([](Options& o) { o.max_pins = 0; }));
  EXPECT_TRUE(refused([](Options& o) { o.max_pins = ~0u; }));
  EXPECT_TRUE(refused([](Options& o) { o.event_slots = 0; }));
  EXPECT_TRUE(refused([](Options& o) { o.event_slots = ~0u; }));
  EXPECT_TRUE(refused([](Options& o) { o.eviction = static_cast<Eviction>(7); }));
  EXPECT_TRUE(refused([](Options& o) { o.size = 0; }));
  EXPECT_TRUE(refused([](Options& o) { o.size = ~uint64_t{0}; }));
  EXPECT_TRUE(refused([](Options& o) { o.size = uint64_t{1} << 46; })) << "a heap too large for 32-bit granules";
  EXPECT_FALSE(refused([](Options&) {}));
}

TEST(GeometryTest, TenMillionObjectsFit) {
  Options options;
  options.size = uint64_t{16} << 30;
  options.max_objects = 10'000'000;
  const Result<Geometry> g = Geometry::Compute(options);
  ASSERT_TRUE(g.ok()) << g.status().ToString();
  ExpectRegionsInOrder(*g);
  EXPECT_GE(g->objects, options.max_objects);
  EXPECT_GE(uint64_t{g->home_buckets} * kBucketEntries, options.max_objects) << "chains are short on average";
}

// No product of counts and sizes wraps at the largest numbers.
TEST(GeometryTest, TheLargestTablesDoNotOverflow) {
  Options options;
  options.max_objects = 1u << 30;
  options.max_clients = 1024;
  options.max_pins = 1u << 20;
  options.event_slots = 1u << 20;
  options.size = uint64_t{400} << 30;
  const Result<Geometry> g = Geometry::Compute(options);
  ASSERT_TRUE(g.ok()) << g.status().ToString();
  ExpectRegionsInOrder(*g);
  EXPECT_GT(g->control_end, uint64_t{200} << 30);
}

// Enough of everything that a table entry stands behind (rule 4's other half: no pool runs dry inside a transaction).
TEST(GeometryTest, PoolsHoldTheWorstCase) {
  for (const uint32_t objects : {1u, 7u, 64u, 99'999u}) {
    Options options = SmallOptions();
    options.size = uint64_t{256} << 20;
    options.max_objects = objects;
    const Result<Geometry> g = Geometry::Compute(options);
    ASSERT_TRUE(g.ok());
    // All keys in one chain, or each full chain one over: at most one overflow bucket for eight objects.
    EXPECT_GE(g->overflow_buckets, objects / kBucketEntries);
    EXPECT_GT(g->overflow_buckets * kBucketEntries + kBucketEntries, objects);
    // Used blocks are objects' or cached; between two of them, and at the ends, lies at most one free block.
    const uint32_t used = g->objects + kBlockCache * g->max_clients;
    EXPECT_GE(g->blocks, 2 * used + 1);
  }
}

}  // namespace
}  // namespace lightning
