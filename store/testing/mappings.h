// What this process has mapped of one file, and whether a store to an address lands.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace lightning::test {

struct Mapping {
  uint64_t begin = 0, end = 0;
  uint64_t offset = 0;  // in the file
  bool readable = false, writable = false;
  uint64_t file = 0;  // inode
  uint64_t size() const { return end - begin; }
};

// All mappings of this process, by address.
std::vector<Mapping> AllMappings();
// Those of the file that `fd` has open.
std::vector<Mapping> MappingsOf(int fd);
// Bytes of the file that are mapped writable somewhere. In mode keys the page tables say "writable" and the key
// decides, so ask StoreLands there.
uint64_t WritableBytes(int fd);

// Stores the byte that is there already; false when that faults, or when the address cannot even be read from `same`,
// a readable alias of it.
bool StoreLands(uint64_t address, std::byte same);

}  // namespace lightning::test
