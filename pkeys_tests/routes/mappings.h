// Where this process has a file mapped, as the kernel tells it: nothing that is under test is asked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace lightning::routes {

struct Mapping {
  std::byte* begin = nullptr;
  uint64_t size = 0, offset = 0;
  bool writable = false;  // as the page tables say; in mode keys the key decides
  int key = 0;
};

// Those of the file at `path`, by address, from /proc/self/smaps.
std::vector<Mapping> MappingsOf(const std::string& path);

}  // namespace lightning::routes
