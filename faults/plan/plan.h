// One run of the harness, whole: the segment, what each client does, in which order they move, who is killed or stopped
// where, what is written astray, and who recovers. Every engine runs it; a seed expands to one; a failure is one; it
// has a readable text form (plan_text.h, docs/plan-format.md) from which it can be replayed exactly.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "faults/model/content.h"
#include "lightning/options.h"

namespace lightning::faults {

struct NamedItem {
  std::string key;
  Item item;
  friend bool operator==(const NamedItem&, const NamedItem&) = default;
};

enum class Engine : uint8_t { kAny, kStep, kSim, kReal };

struct PlanSegment {
  uint32_t max_objects = 16, max_clients = 4, max_pins = 16, event_slots = 4;
  uint64_t heap = 64 * 1024;  // bytes, at least; the size of the file follows
  Eviction eviction = Options{}.eviction;
  uint64_t hash_seed = 1;
  Isolation isolation = Isolation::kNone;
  friend bool operator==(const PlanSegment&, const PlanSegment&) = default;
};

enum class Action : uint8_t {
  kPut,          // items[0]
  kReplace,      // items[0], when the version is still the one that this client last saw of that key
  kPutBatch,     // all items
  kCreate,       // items[0]; stays unsealed until seal or abort
  kSeal,         // items[0].key
  kAbort,        // items[0].key
  kGet,          // items[0].key; takes a handle, looks at all bytes, lets go
  kPin,          // items[0].key; takes a handle and keeps it
  kUnpin,        // items[0].key; lets go of the oldest kept handle of that key
  kContains,     // items[0].key
  kDelete,       // items[0].key
  kList,         // items[0].key: the prefix, may be empty
  kEvict,        // amount: bytes
  kSubscribe,    //
  kUnsubscribe,  //
  kNextEvent,    // does not wait
  kRecover,      //
  kCheck,        // all invariants
  kAttach,       // again, after detach
  kDetach,       //
};

struct PlanOperation {
  Action action = Action::kPut;
  std::vector<NamedItem> items;
  uint64_t amount = 0;
  friend bool operator==(const PlanOperation&, const PlanOperation&) = default;
};

struct PlanClient {
  std::string name;                       // a word: letters, digits, '-'
  std::vector<PlanOperation> before;      // done client by client, in order, before anything is counted or killed
  std::vector<PlanOperation> operations;  // what is run, stepped, killed
  friend bool operator==(const PlanClient&, const PlanClient&) = default;
};

// A moment in the life of one client, counted from the end of `before`, from one.
struct Moment {
  enum Unit : uint8_t {
    kInstruction,  // executed (step)
    kStore,        // that changed the segment (step, sim)
    kPoint,        // access to a shared word (sim)
    // What a store means, by the word it goes to:
    kLogEntry,  // rule 2: an undo entry is written
    kLogCount,  // rule 2: the count that covers it rises
    kCommit,    // rule 3: the count becomes zero
    kLock,      // rule 5: a lock word is taken
    kUnlock,    // rule 3: and let go
    kPin,       // rule 8: a pin is published
    kUnpin,     // rule 8: and taken back
    kClaim,     // rules 5 and 6: a dead client's slot is claimed
    kRelease,   // rule 6: a slot is free or rolled back
  };
  Unit unit = kStore;
  uint64_t number = 1;
  friend bool operator==(const Moment&, const Moment&) = default;
};

struct PlanKill {
  std::string client;
  Moment at;
  friend bool operator==(const PlanKill&, const PlanKill&) = default;
};

// SIGSTOP and SIGCONT, or their likes.
struct PlanStop {
  std::string client;
  Moment at;
  uint64_t points = 0;  // that others then do before it goes on; 0: until they are all done
  friend bool operator==(const PlanStop&, const PlanStop&) = default;
};

enum class Region : uint8_t {
  kSuperblock,
  kCentral,
  kSlot,    // index: a client slot
  kLog,     // index: a client slot
  kBucket,  // index
  kObject,  // index
  kBlock,   // index
  kEvent,   // index
  kPage,    // index: a client slot
  kHeap,
};

// A write from outside any window, by a wild pointer of this client's process.
struct PlanStray {
  std::string client;
  Moment at;
  Region region = Region::kCentral;
  uint32_t index = 0;
  uint64_t offset = 0;  // bytes from the beginning of that entry of that region
  uint64_t value = 0;
  friend bool operator==(const PlanStray&, const PlanStray&) = default;
};

// Who heals after the kills, one after the other; all but the last may be killed in turn. Without any: a fresh client.
struct PlanRecoverer {
  std::string client;  // of the plan, or a name of its own: then it attaches for this
  bool killed = false;
  Moment at;  // when killed, counted from the beginning of its recovery
  friend bool operator==(const PlanRecoverer&, const PlanRecoverer&) = default;
};

enum class Memory : uint8_t { kTso, kSc };

struct ScheduleStep {
  uint32_t client = 0;  // index into Plan::clients
  uint64_t points = 0;  // that it does in a row
  uint32_t held = 0;    // stores of the one before that then stay in its store buffer, the newest; the others drain
  friend bool operator==(const ScheduleStep&, const ScheduleStep&) = default;
};

struct Schedule {
  enum Strategy : uint8_t {
    kSequential,  // one client after the other
    kExhaustive,  // every schedule with at most `bound` preemptions
    kPct,         // Burckhardt et al. 2010, of depth `bound`
    kRandom,      // a switch with `percent` at each point
    kReplay,      // `steps`
  };
  Strategy strategy = kSequential;
  uint32_t bound = 2;
  uint32_t percent = 10;
  std::vector<ScheduleStep> steps;
  Memory memory = Memory::kTso;
  uint32_t buffer = 8;  // stores that may wait in a client's store buffer
  friend bool operator==(const Schedule&, const Schedule&) = default;
};

struct Plan {
  uint64_t seed = 0;  // that it was expanded from; also what random choices while it runs follow from
  Engine engine = Engine::kAny;
  PlanSegment segment;
  std::vector<PlanClient> clients;
  Schedule schedule;
  std::vector<PlanKill> kills;
  std::vector<PlanStop> stops;
  std::vector<PlanStray> strays;
  std::vector<PlanRecoverer> recoverers;
  friend bool operator==(const Plan&, const Plan&) = default;
};

}  // namespace lightning::faults
