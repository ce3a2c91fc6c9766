// What the kernel says about this process's mappings.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lightning {

struct MapsEntry {
  uint64_t begin = 0, end = 0, offset = 0;  // addresses; bytes in the file
  bool readable = false, writable = false, executable = false, shared = false;
  uint64_t device = 0, inode = 0;  // of the file, 0 when there is none
  int key = 0;                     // protection key; 0 where `details` were not asked for, or there are no keys
  bool not_inherited = false;      // by a forked child; only with `details`
  std::string path;                // of the file; empty when there is none
};

// All of them, by address. Empty when the kernel does not tell. `details` reads smaps, which looks at every page.
std::vector<MapsEntry> ReadProcessMaps(bool details);

}  // namespace lightning
