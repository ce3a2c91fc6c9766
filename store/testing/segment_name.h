// A segment's name of its own, for tests.
#pragma once

#include <unistd.h>

#include <atomic>
#include <string>

#include "lightning/client.h"

namespace lightning::test {

// A name under /dev/shm that nobody else uses; the segment is removed at the end.
class SegmentName {
 public:
  SegmentName() { static_cast<void>(Store::Remove(name_)); }
  ~SegmentName() { static_cast<void>(Store::Remove(name_)); }
  SegmentName(const SegmentName&) = delete;
  SegmentName& operator=(const SegmentName&) = delete;
  const std::string& name() const { return name_; }
  std::string path() const { return "/dev/shm/" + name_; }

 private:
  static std::string Unique() {
    static std::atomic<int> next{0};
    return "lightning-test-" + std::to_string(getpid()) + "-" + std::to_string(next++);
  }

  const std::string name_ = Unique();
};

}  // namespace lightning::test
