// Stray accesses: one instruction that goes where it must not, and what the processor said about it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <ostream>
#include <span>

namespace lightning::pkeys {

struct Fault {
  bool happened = false;
  int code = 0;          // si_code: SEGV_PKUERR, SEGV_ACCERR, SEGV_MAPERR
  uint64_t address = 0;  // si_addr
  int key = -1;          // si_pkey, for SEGV_PKUERR
};

enum class Access { kMov, kByte, kXchg, kLockAdd, kCompareExchange, kRepStos, kSse, kNonTemporal, kPush, kLoad };
inline constexpr Access kStores[] = {
    Access::kMov,     Access::kByte, Access::kXchg,        Access::kLockAdd, Access::kCompareExchange,
    Access::kRepStos, Access::kSse,  Access::kNonTemporal, Access::kPush};
const char* Name(Access access);
inline void PrintTo(Access access, std::ostream* out) { *out << Name(access); }

// Catches SIGSEGV while it lives. A fault outside Try() ends the process as it would without it.
class FaultCatcher {
 public:
  FaultCatcher();
  ~FaultCatcher();
  FaultCatcher(const FaultCatcher&) = delete;
  FaultCatcher& operator=(const FaultCatcher&) = delete;
};

// Does it, to at most 16 bytes at `at` (kPush: just below at + 8). The faulting instruction is skipped, and the thread
// goes on with the rights that it had. Inside a FaultCatcher alone; also in signal handlers.
Fault Try(Access access, const void* at);

// Rights to a key's pages: a window's, those outside of one, and what the kernel gives new threads and handlers.
constexpr uint32_t kOpen = 0, kClosed = 3, kInitial = 1;
// The rights of this thread: 0 all, 1 none, 2 read, 3 none.
uint32_t RightsOf(int key);
// Sets them, as no part of the store would.
void SetRightsOf(int key, uint32_t rights);

}  // namespace lightning::pkeys
