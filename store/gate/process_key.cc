#include "store/gate/process_key.h"

#include <cpuid.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstdint>
#include <mutex>
#include <utility>

#include "store/gate/system_call.h"

namespace lightning {
namespace {

std::mutex mutex;
int shared_key = -1;
int references = 0;

}  // namespace

bool MachineHasKeys() {
  // Leaf 7, ECX bit 4 (OSPKE): the processor has keys and the kernel turned them on. Asked first, since a kernel
  // without them answers a second pkey_alloc with ENOSPC, as one does whose keys are all taken.
  uint32_t eax, ebx, ecx, edx;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0 || (ecx >> 4 & 1) == 0) return false;
  const int key = pkey_alloc(0, PKEY_DISABLE_ACCESS | PKEY_DISABLE_WRITE);
  if (key >= 0) {
    pkey_free(key);
    return true;
  }
  // All keys taken is a machine that has them.
  const std::lock_guard lock(mutex);
  return references > 0 || errno == ENOSPC;
}

Result<ProcessKey> ProcessKey::Acquire() {
  const std::lock_guard lock(mutex);
  if (references == 0) {
    const int key = pkey_alloc(0, PKEY_DISABLE_ACCESS | PKEY_DISABLE_WRITE);
    if (key < 0) return Status(Code::kUnsupported, "no memory protection key can be had", errno);
    shared_key = key;
  }
  ++references;
  ProcessKey result;
  result.key_ = shared_key;
  return result;
}

ProcessKey& ProcessKey::operator=(ProcessKey&& other) noexcept {
  std::swap(key_, other.key_);
  return *this;
}

void ProcessKey::Keep() {
  if (key_ < 0) return;
  const std::lock_guard lock(mutex);
  ++references;
}

ProcessKey::~ProcessKey() {
  if (key_ < 0) return;
  const std::lock_guard lock(mutex);
  if (--references == 0) {
    GateCall(SYS_pkey_free, reinterpret_cast<const void*>(static_cast<uintptr_t>(shared_key)));
    shared_key = -1;
  }
}

}  // namespace lightning
