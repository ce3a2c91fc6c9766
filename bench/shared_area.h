// Shared memory of a run: areas without a name, and store segments that are removed whatever happens.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "lightning/options.h"

namespace lightning::bench {

// A MAP_SHARED mapping of an unnamed file in /dev/shm, zeroed, its pages present. Children inherit it.
class SharedArea {
 public:
  explicit SharedArea(size_t size);  // data() is null and error() says why when it cannot be had
  ~SharedArea();
  SharedArea(const SharedArea&) = delete;
  SharedArea& operator=(const SharedArea&) = delete;

  std::byte* data() const { return data_; }
  size_t size() const { return size_; }
  const std::string& error() const { return error_; }
  // Fills in this process's page table. A forked child has to do that for itself.
  void Populate() const;

 private:
  std::byte* data_ = nullptr;
  size_t size_;
  std::string error_;
};

// The path of a store segment of this run; removed at destruction.
class StoreName {
 public:
  explicit StoreName(std::string_view tag);
  ~StoreName();
  StoreName(const StoreName&) = delete;
  StoreName& operator=(const StoreName&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// A process that waits for this one to end, however it ends, and then removes what StoreNames it left. Make it before
// the first StoreName.
class Guardian {
 public:
  Guardian();
  ~Guardian();
  Guardian(const Guardian&) = delete;
  Guardian& operator=(const Guardian&) = delete;

 private:
  int alive_ = -1;  // write end of a pipe; its closing is the signal
  pid_t pid_ = -1;
};

// In a forked child: die with the parent, so that nobody is left behind.
void DieWithParent(pid_t parent);

// Bytes that /dev/shm can still take without endangering the machine.
uint64_t UsableSharedMemory();

// Options of a segment for `objects` values of `value_size` bytes under short keys, with some air.
Options SegmentFor(uint64_t objects, uint64_t value_size);
// Options to attach to an existing segment in `mode`.
Options Attach(Isolation mode, bool prefault);

}  // namespace lightning::bench
