// A death after every store of every operation, and of recovery itself: rules 6, 9 and 10. Each distinct state of the
// memory is recovered by another client, on a copy, and judged: the content is that before or that after, nothing has
// leaked, every invariant holds, and the survivor can go on.
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "store/client/core.h"
#include "store/testing/operations.h"
#include "store/testing/store_tracer.h"

namespace lightning {
namespace {

using test::AllOperations;
using test::Content;
using test::MemorySegment;
using test::Operation;
using test::Stage;
using test::StageOptions;
using test::World;

using Contents = std::map<std::string, std::string>;

class CrashStatesTest : public testing::TestWithParam<Operation> {
 protected:
  CrashStatesTest() {
    GetParam().prepare(stage_);
    // The same once more, without a death: what there is before and after.
    Stage whole(StageOptions());
    GetParam().prepare(whole);
    before_ = ContentOf(whole.memory);
    GetParam().run(whole);
    after_ = ContentOf(whole.memory);
  }

  static Contents ContentOf(const MemorySegment& memory) {
    const MemorySegment copy(memory);
    World world;
    Client reader = std::move(*copy.Attach(world));
    return Content(reader);
  }
  // Calls `visit` at each distinct crash state of `body` over `memory`, and when it is done. Returns how many there
  // were. A store outside the control region is seen together with the next one in it: pins are hints, and nothing
  // points to a payload before it is whole.
  static size_t ForEachState(const MemorySegment& memory, const std::function<void()>& body,
                             const std::function<void()>& visit) {
    std::unordered_set<uint64_t> seen;
    const auto look = [&] {
      if (seen.insert(XXH3_64bits(memory.memory(), memory.geometry().heap)).second) visit();
    };
    constexpr uint64_t kWidest = 64;  // bytes that one instruction stores
    std::byte saved[kWidest];
    test::StoreHooks hooks;
    hooks.before = [&](uint64_t offset) { memcpy(saved, memory.memory() + offset, kWidest); };
    hooks.after = [&](uint64_t offset) {
      if (memcmp(saved, memory.memory() + offset, kWidest) != 0) look();
    };
    test::TraceStores(memory.memory(), memory.geometry().control_end, hooks, body);
    look();
    return seen.size();
  }
  // What the heap must hold for the sealed objects of the index and for nothing else.
  static uint64_t SealedBytes(const Segment& segment) {
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < segment.geometry().home_buckets; ++i) {
      index::ForEach(segment, segment.home_at(i), [&](const Place& place) {
        bytes += ObjectFields::Read(segment.object(place.object())).granules() * kGranule;
        return true;
      });
    }
    return bytes;
  }
  // Expects a recovered image in order. `client` is attached to it.
  void Judge(const MemorySegment& image, const World& world, Client& client, const std::string& what) {
    ASSERT_EQ(test::Violations(image.Check(world)), "") << what;
    const Contents content = Content(client);
    EXPECT_TRUE(content == before_ || content == after_ || between_(content)) << what;
    const Stats stats = *client.GetStats();
    EXPECT_EQ(stats.bytes_used, SealedBytes(image.segment())) << what << ": something has leaked";
    EXPECT_EQ(stats.bytes_retired, 0u) << what;
    EXPECT_EQ(stats.objects, content.size()) << what;
    EXPECT_EQ(stats.clients, 1u) << what << ": a slot has leaked";
    for (const auto& [key, value] : content) EXPECT_TRUE(client.Put(key, "again").ok()) << what;
    EXPECT_TRUE(client.Put("quite new", "v").ok()) << what << ": the survivor cannot go on";
  }
  // Evictions are operations of their own: each object is there or not.
  static bool Subset(const Contents& part, const Contents& whole) {
    for (const auto& [key, value] : part) {
      const auto at = whole.find(key);
      if (at == whole.end() || at->second != value) return false;
    }
    return true;
  }

  Stage stage_{StageOptions()};
  MemorySegment scratch_{StageOptions()};
  Contents before_, after_;
  std::function<bool(const Contents&)> between_ = [this](const Contents& content) {
    const bool evicts = GetParam().name == "PutEvicts" || GetParam().name == "Evict";
    Contents largest = content;
    largest.insert({"one more", "v"});  // what PutEvicts puts
    return evicts && Subset(content, before_) && Subset(after_, largest);
  };
};

std::string NameOf(const testing::TestParamInfo<Operation>& info) { return info.param.name; }
INSTANTIATE_TEST_SUITE_P(Operations, CrashStatesTest, testing::ValuesIn(AllOperations()), NameOf);

TEST_P(CrashStatesTest, ADeathAfterAnyStoreIsHealedByTheNextClient) {
  size_t state = 0;
  const auto judge = [&] {
    if (HasFatalFailure()) return;
    scratch_.CopyFrom(stage_.memory);
    World world;
    for (SlotIndex slot = 0; slot < 2; ++slot) world.dead[slot] = true;  // the client, and whoever listened
    Client client = std::move(*scratch_.Attach(world));
    ASSERT_TRUE(client.Recover().ok());
    Judge(scratch_, world, client, "crash state " + std::to_string(state++));
  };
  const size_t states = ForEachState(
      stage_.memory, [&] { GetParam().run(stage_); }, judge);
  EXPECT_GE(states, GetParam().name == "Get" ? 1u : 8u);
}

// Rule 6: the recoverer is a victim like any other.
TEST_P(CrashStatesTest, ADeathOfTheRecovererAfterAnyStoreIsHealedToo) {
  std::vector<std::unique_ptr<MemorySegment>> images;
  ForEachState(
      stage_.memory, [&] { GetParam().run(stage_); },
      [&] { images.push_back(std::make_unique<MemorySegment>(stage_.memory)); });
  const size_t middle = images.size() / 2;
  const MemorySegment& image = *images[middle];
  World world;
  for (SlotIndex slot = 0; slot < 2; ++slot) world.dead[slot] = true;
  Client recoverer = std::move(*image.Attach(world));
  const SlotIndex its = ClientCore::Of(recoverer)->environment().self;
  const auto judge = [&] {
    if (HasFatalFailure()) return;
    scratch_.CopyFrom(image);
    World second;
    for (const SlotIndex slot : {SlotIndex{0}, SlotIndex{1}, its}) second.dead[slot] = true;
    Client client = std::move(*scratch_.Attach(second));
    ASSERT_TRUE(client.Recover().ok());
    Judge(scratch_, second, client, "crash state " + std::to_string(middle) + ", then the recoverer's");
  };
  const size_t states = ForEachState(
      image, [&] { ASSERT_TRUE(recoverer.Recover().ok()); }, judge);
  EXPECT_GE(states, 20u);
}

}  // namespace
}  // namespace lightning
