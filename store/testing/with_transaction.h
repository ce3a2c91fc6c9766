// A fixture for tests of what works inside of a transaction, below the operations: a small segment in plain memory and
// one client, whose window is open. The tests take the locks.
#pragma once

#include <gtest/gtest.h>

#include "store/log/transaction.h"
#include "store/testing/testing.h"

namespace lightning::test {

class WithTransaction : public testing::Test {
 protected:
  const Segment& segment() const { return actor_.segment(); }
  const Slot& slot() const { return actor_.slot(); }
  const Central& central() const { return segment().central(); }
  uint64_t free_granules() const { return central().free_granules.Load(); }

  World world_;
  const MemorySegment memory_{SmallOptions()};
  Actor actor_{memory_, world_, 0};
  Window window_{*actor_.gate};
  Transaction t_{actor_.environment, window_, 0};
};

}  // namespace lightning::test
