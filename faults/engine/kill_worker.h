// A process of the kills part: works on the store as fast as it can, and writes down what it is about to do, and what
// came of it, where its death cannot reach.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "faults/check/history.h"
#include "lightning/client.h"

namespace lightning::faults {

inline constexpr uint32_t kLanes = 4;  // processes at a time, unless somebody asks for more
inline constexpr uint32_t kMostLanes = 64;
inline constexpr uint32_t kKillKeys = 512;        // that all processes share
inline constexpr uint32_t kOwnKeys = 32;          // of each process alone; its successors have them after it
inline constexpr uint64_t kLogRecords = 200'000;  // of one lane, in one round
inline constexpr uint32_t kBatchKeys = 3;

// Keys by number: the shared ones, then those of each lane, then one for each lane's forked children.
inline constexpr uint32_t OwnKey(uint32_t lane, uint32_t i) { return kKillKeys + lane * kOwnKeys + i; }
inline constexpr uint32_t ForkKey(uint32_t lane) { return OwnKey(kMostLanes, lane); }

// One operation. Written by the worker, `done` last.
struct KillRecord {
  Did did[kBatchKeys];
  uint8_t keys_used;
  uint32_t keys[kBatchKeys];
  uint64_t begin, end;
  WriteId write;
  uint64_t version;  // of the only key
  uint64_t expected;
  std::atomic<uint32_t> done;
};

enum class Phase : uint32_t { kRun = 0, kPause = 1, kEnd = 2 };

// In memory that all processes of the run share, and that is no part of the segment.
struct KillLane {
  std::atomic<uint64_t> count;   // records begun
  std::atomic<uint64_t> writes;  // last WriteId's lower part
  std::atomic<uint64_t> forked;  // children that it made while it worked
  std::atomic<uint32_t> parked;
  char error[400];        // of the worker, when it saw something wrong itself
  char child_error[400];  // of its forked child
  KillRecord records[kLogRecords];
};
struct KillBoard {
  std::atomic<Phase> phase;
  uint64_t records;         // that a lane writes in one round, at most kLogRecords
  std::atomic<bool> lies;   // the first lane writes down looks that it did not have: to see that somebody notices
  std::atomic<bool> hangs;  // it stands still before it looks at anything
  KillLane lanes[kMostLanes];
};

std::string KillKey(uint32_t key);
uint64_t MonotonicNanoseconds();

// The ranks of YCSB's zipfian distribution with constant 0.99.
class Zipfian {
 public:
  explicit Zipfian(uint32_t count);
  uint32_t Pick(double unit) const;

 private:
  std::vector<double> sums_;
};

// Works until the board says kEnd, or until it is killed. Ends the process: 0, or 9 with the lane's error. A process
// group of its own, to which its forked children belong: whoever kills it kills the group.
[[noreturn]] void RunKillWorker(const Store& store, KillBoard& board, uint32_t lane, uint64_t seed);

// What a forked child of a worker does: its parent's client, copied by fork, must answer kForked to everything. Then it
// dies, or with `connects` works a little with a client of its own, on the lane's ForkKey. What is wrong, or "".
std::string RunForkedChild(Client& inherited, const Store& store, uint32_t lane, bool connects);

}  // namespace lightning::faults
