#include "pkeys_tests/routes/mappings.h"

#include <cstdio>
#include <fstream>

namespace lightning::routes {

std::vector<Mapping> MappingsOf(const std::string& path) {
  std::vector<Mapping> found;
  std::ifstream smaps("/proc/self/smaps");
  bool ours = false;
  for (std::string line; std::getline(smaps, line);) {
    unsigned long begin, end, offset;
    char rights[5];
    if (sscanf(line.c_str(), "%lx-%lx %4s %lx", &begin, &end, rights, &offset) == 4) {
      ours = line.find(path) != std::string::npos;
      if (ours) found.push_back({reinterpret_cast<std::byte*>(begin), end - begin, offset, rights[1] == 'w', 0});
    } else if (ours) {
      sscanf(line.c_str(), "ProtectionKey: %d", &found.back().key);
    }
  }
  return found;
}

}  // namespace lightning::routes
