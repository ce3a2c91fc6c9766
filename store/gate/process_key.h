// The protection key of this process. Keys are few (15) and belong to the process, so all clients in it share one; the
// rights to it are each thread's own.
#pragma once

#include "lightning/status.h"

namespace lightning {

// Whether this machine and kernel have protection keys. Asks by allocating one.
bool MachineHasKeys();

// A reference to the process's key, which is allocated with the first and freed with the last.
class ProcessKey {
 public:
  // kUnsupported where there are no keys, or none is left.
  static Result<ProcessKey> Acquire();
  ProcessKey() = default;
  ProcessKey(ProcessKey&& other) noexcept : key_(other.key_) { other.key_ = -1; }
  ProcessKey& operator=(ProcessKey&& other) noexcept;
  ~ProcessKey();

  int value() const { return key_; }
  // The key is never given back: what is tagged with it stays.
  void Keep();

 private:
  int key_ = -1;
};

}  // namespace lightning
