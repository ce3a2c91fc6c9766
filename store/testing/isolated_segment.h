// A fixture for tests of what a mode of isolation keeps out: a segment under a name, in the mode of the test's
// parameter.
#pragma once

#include <gtest/gtest.h>

#include "lightning/isolation.h"
#include "store/gate/process_key.h"
#include "store/testing/testing.h"

namespace lightning::test {

// Of which breaches a process has been told, with Note as its handler. A child has a copy of its own.
struct Told {
  int times = 0;
  Breach last{};
};
inline Told told;
inline void Note(Breach breach, const char*, void*) {
  ++told.times;
  told.last = breach;
}

class IsolatedSegment : public testing::TestWithParam<Isolation> {
 public:
  static constexpr uint64_t kSize = 1 << 20;

 protected:
  void SetUp() override {
    if (GetParam() == Isolation::kKeys && !MachineHasKeys())
      GTEST_SKIP() << "this machine has no memory protection keys";
    options_ = SmallOptions();
    options_.size = kSize;
    options_.isolation = GetParam();
  }
  Result<Client> Connect() const { return Store::Open(name_.name(), options_)->Connect(); }

  const SegmentName name_;
  Options options_;
};

}  // namespace lightning::test
