#include "store/index/pins.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <set>
#include <thread>
#include <vector>

#include "store/testing/testing.h"

namespace lightning {
namespace {

using test::Actor;
using test::MemorySegment;
using test::SmallOptions;
using test::World;

class PinsTest : public testing::Test {
 protected:
  ClientPage& page(SlotIndex slot) const {
    return *reinterpret_cast<ClientPage*>(memory_.memory() + memory_.geometry().ClientPageOffset(slot));
  }

  static constexpr uint32_t kPins = 16;
  World world_;
  const MemorySegment memory_{SmallOptions()};
  Actor actor_{memory_, world_, 0};
};

TEST_F(PinsTest, APinIsSeenByWhoeverCollectsUntilItIsGone) {
  PinTable pins(page(0).pins, &page(0).pins_used, kPins);
  pins.AddReference();
  PinnedObjects pinned;
  const uint32_t first = pins.Pin(ObjectId{7}), second = pins.Pin(ObjectId{7});
  pinned.Collect(memory_.segment());
  EXPECT_TRUE(pinned.Contains(ObjectId{7}));
  EXPECT_FALSE(pinned.Contains(ObjectId{8}));
  EXPECT_FALSE(pins.Unpin(first));
  pinned.Collect(memory_.segment());
  EXPECT_TRUE(pinned.Contains(ObjectId{7})) << "the other pin holds it";
  EXPECT_FALSE(pins.Unpin(second));
  pinned.Collect(memory_.segment());
  EXPECT_FALSE(pinned.Contains(ObjectId{7}));
}

TEST_F(PinsTest, ThereAreExactlyAsManyAsTheSegmentSays) {
  PinTable pins(page(0).pins, &page(0).pins_used, kPins);
  pins.AddReference();
  std::set<uint32_t> mine;
  for (uint32_t i = 0; i < kPins; ++i) mine.insert(pins.Pin(ObjectId{i + 1}));
  EXPECT_EQ(mine.size(), kPins);
  EXPECT_FALSE(mine.contains(PinTable::kNoPin));
  EXPECT_EQ(pins.Pin(ObjectId{1}), PinTable::kNoPin);
  EXPECT_FALSE(pins.Unpin(*mine.begin()));
  EXPECT_EQ(pins.Pin(ObjectId{2}), *mine.begin()) << "what was given back is used again";
}

TEST_F(PinsTest, ExactlyOneReferenceIsTheLast) {
  for (int order = 0; order < 3; ++order) {
    PinTable pins(page(1).pins, &page(1).pins_used, kPins);
    pins.AddReference();
    pins.AddReference();
    const uint32_t pin = pins.Pin(ObjectId{1});
    int last = 0;
    last += order == 0 ? pins.Unpin(pin) : pins.DropReference();
    last += order == 1 ? pins.Unpin(pin) : pins.DropReference();
    EXPECT_EQ(last, 0);
    last += order == 2 ? pins.Unpin(pin) : pins.DropReference();
    EXPECT_EQ(last, 1);
  }
}

// A dead client's pins vanish with its slot (rule 8): who has no slot pins nothing, whatever its page says.
TEST_F(PinsTest, PinsOfFreeSlotsDoNotCount) {
  page(2).pins[0] = 9;
  page(2).pins_used = 1;
  PinnedObjects pinned;
  pinned.Collect(memory_.segment());
  EXPECT_FALSE(pinned.Contains(ObjectId{9}));
  Actor other(memory_, world_, 2);
  pinned.Collect(memory_.segment());
  EXPECT_TRUE(pinned.Contains(ObjectId{9}));
}

// Rule 8 takes pins for hints: a stray write into a client's page hurts only that client.
TEST_F(PinsTest, AnyBytesInAClientsPageAreSurvived) {
  memset(static_cast<void*>(&page(0)), 0xFF, memory_.geometry().client_page_stride);
  PinnedObjects pinned;
  pinned.Collect(memory_.segment());
  EXPECT_FALSE(pinned.Contains(ObjectId{1}));
  EXPECT_TRUE(pinned.Contains(ObjectId{~0u})) << "a value that names no object";
}

// The place where x86 reorders (rule 8): either the reader sees that the object is gone, or who retires it sees the
// pin.
TEST_F(PinsTest, EitherTheReaderOrTheReclaimerNotices) {
  PinTable pins(page(0).pins, &page(0).pins_used, kPins);
  pins.AddReference();
  std::atomic<bool> current{true};
  std::atomic<int> round{0}, done{0};
  constexpr int kRounds = 20'000;
  bool reader_kept = false, reclaimed = false;
  int both = 0;
  std::thread reclaimer([&] {
    PinnedObjects pinned;
    for (int i = 1; i <= kRounds; ++i) {
      for (int spins = 0; round < i; ++spins) {
        if (spins > 200) std::this_thread::yield();
      }
      current.store(false, std::memory_order_release);
      pinned.Collect(memory_.segment());
      reclaimed = !pinned.Contains(ObjectId{5});
      done = i;
    }
  });
  for (int i = 1; i <= kRounds; ++i) {
    current = true;
    round = i;
    const uint32_t pin = pins.Pin(ObjectId{5});
    reader_kept = current.load(std::memory_order_acquire);
    for (int spins = 0; done < i; ++spins) {
      if (spins > 200) std::this_thread::yield();
    }
    both += reader_kept && reclaimed;
    EXPECT_FALSE(pins.Unpin(pin));
  }
  reclaimer.join();
  EXPECT_EQ(both, 0) << "somebody read what somebody else reused";
}

}  // namespace
}  // namespace lightning
