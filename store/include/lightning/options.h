// What a segment is made with, and how a client attaches to it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace lightning {

inline constexpr size_t kMaxKeySize = 1024;
inline constexpr size_t kMaxMetadataSize = 64 * 1024;
inline constexpr size_t kMaxBatchSize = 64;  // keys in one atomic PutBatch
inline constexpr size_t kGranule = 64;       // bytes; extents are multiples of it and aligned to it

// What keeps a stray write out of the store's state. See docs/fault-model.md.
enum class Isolation : uint8_t { kAuto, kKeys, kMprotect, kHidden, kNone };
// "auto", "keys", "mprotect", "hidden", "none".
const char* IsolationName(Isolation isolation);
// The reverse; false when the name is unknown.
bool ParseIsolation(const char* name, Isolation* isolation);

// What a put does when the segment is full.
enum class Eviction : uint8_t {
  kNone,  // fails with kSegmentFull or kTooManyObjects
  kLru,   // evicts the least recently used sealed objects that nobody has pinned
};

enum class OpenMode : uint8_t { kOpenOrCreate, kOpen, kCreate };

struct Options {
  OpenMode mode = OpenMode::kOpenOrCreate;

  // Geometry: used only when the segment is created; an existing segment keeps its own.
  uint64_t size = uint64_t{256} << 20;  // bytes of the whole file, control region included; rounded up to pages
  uint32_t max_objects = 65'536;        // sealed and unsealed ones together
  uint32_t max_clients = 64;            // attached at the same time, at most 1,024
  uint32_t max_pins = 8'192;            // handles one client may hold at the same time
  uint32_t event_slots = 256;           // how far a subscriber may lag before it falls behind
  Eviction eviction = Eviction::kNone;
  uint64_t hash_seed = 0;  // 0: random

  // Attachment: each client chooses its own.
  Isolation isolation = Isolation::kAuto;  // auto: keys where the machine has them, else mprotect
  bool prefault = false;                   // touch every page now rather than at first use
  bool huge_pages = false;                 // ask for huge pages where the system allows them
  // Seals the mappings by mseal (Linux 6.10; else kUnsupported), so that nothing in this process can unmap, replace or
  // reprotect them; in mode mprotect the control mapping itself cannot be sealed. A memfd is sealed against resizing,
  // too. For good: a client that closes leaves its mappings, and the protection key, until the process ends.
  bool seal = false;
  // Looks for other writable mappings of the segment and for damage to the store's own ones when a client attaches, and
  // does with a finding as SetBreachHandler (isolation.h) says. Not in mode none.
  bool audit = true;
  std::chrono::nanoseconds lock_timeout{1'000'000'000};  // longest wait for a living peer that does not move
};

// What one look at the segment gave. Counts are exact when no client is inside an operation.
struct Stats {
  Isolation isolation = Isolation::kNone;  // of the client that asked
  uint64_t segment_size = 0;               // bytes
  uint64_t bytes_total = 0;                // heap bytes
  uint64_t bytes_used = 0;                 // extents of sealed and unsealed objects, rounded to kGranule
  uint64_t bytes_retired = 0;              // deleted or replaced, not given back yet (a reader may still pin them)
  uint64_t bytes_free = 0;                 // total - used - retired
  uint64_t largest_free = 0;               // bytes of the largest free extent
  uint64_t objects = 0;                    // sealed and unsealed
  uint64_t objects_max = 0;
  uint64_t clients = 0;
  uint64_t clients_max = 0;
  uint64_t recoveries = 0;  // dead clients healed since the segment was made
  uint64_t evictions = 0;
  uint64_t gets = 0, puts = 0, deletes = 0;  // of the clients attached now; approximate under threads
  Eviction eviction = Eviction::kNone;
};

// The verdict of Check. `busy` means that clients changed the segment all the while: nothing can be said.
struct CheckReport {
  bool ok = false;
  bool busy = false;
  std::vector<std::string> violations;  // one sentence each
};

struct RecoveryReport {
  uint32_t recovered = 0;        // dead clients healed by this call
  uint32_t alive = 0;            // clients attached and alive, the caller included
  uint64_t bytes_reclaimed = 0;  // given back to the heap by this call
};

}  // namespace lightning
