// The ways in which a client can be attached, for tests of what all of them must do alike: one for each mode of
// isolation that the machine has, and one over plain memory, as a harness does it.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "store/gate/process_key.h"
#include "store/testing/testing.h"

namespace lightning::test {

struct Mode {
  const char* name;
  Isolation isolation;
  bool in_memory;
};
inline const Mode kModes[] = {{"keys", Isolation::kKeys, false},
                              {"mprotect", Isolation::kMprotect, false},
                              {"hidden", Isolation::kHidden, false},
                              {"none", Isolation::kNone, false},
                              {"memory", Isolation::kNone, true}};

// A segment of `options_`, made by the first Connect; after each test it is checked with all clients gone.
class Conformance : public testing::TestWithParam<Mode> {
 protected:
  void SetUp() override {
    if (GetParam().isolation == Isolation::kKeys && !MachineHasKeys())
      GTEST_SKIP() << "this machine has no memory protection keys";
    options_.isolation = GetParam().isolation;
    world_.real_time = true;
  }
  void TearDown() override {
    if (memory_ != nullptr) {
      EXPECT_EQ(Violations(memory_->Check(world_)), "");
    }
    if (opened_) {
      EXPECT_EQ(Violations(Store::Check(name_.name())), "");
    }
  }
  Result<Client> TryConnect() {
    if (GetParam().in_memory) {
      if (memory_ == nullptr) memory_ = std::make_unique<MemorySegment>(options_);
      return memory_->Attach(world_, options_.lock_timeout);
    }
    const Result<Store> store = Store::Open(name_.name(), options_);
    if (!store.ok()) return store.status();
    opened_ = true;
    return store->Connect();
  }
  Client Connect() {
    Result<Client> client = TryConnect();
    LIGHTNING_ASSERT(client.ok());
    return std::move(*client);
  }
  // Bytes that differ along the value and from those of another seed.
  static std::string Bytes(size_t size, uint32_t seed) {
    std::string bytes(size, '\0');
    for (size_t i = 0; i < size; ++i) {
      seed = seed * 1664525 + 1013904223;
      bytes[i] = static_cast<char>(seed >> 24);
    }
    return bytes;
  }
  static Stats StatsOf(Client& client) {
    const Result<Stats> stats = client.GetStats();
    LIGHTNING_ASSERT(stats.ok());
    return *stats;
  }

  Options options_ = SmallOptions();
  World world_;

 private:
  const SegmentName name_;
  std::unique_ptr<MemorySegment> memory_;
  std::atomic<bool> opened_ = false;  // threads connect too
};

inline std::string ModeName(const testing::TestParamInfo<Mode>& info) { return info.param.name; }
inline void PrintTo(const Mode& mode, std::ostream* out) { *out << mode.name; }

// One for each class of tests: in which ways they run.
#define LIGHTNING_IN_ALL_MODES(tests) \
  INSTANTIATE_TEST_SUITE_P(Modes, tests, ::testing::ValuesIn(::lightning::test::kModes), ::lightning::test::ModeName)

}  // namespace lightning::test
