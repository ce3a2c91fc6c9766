// Runs a group of processes through one schedule of timed slices, so that two sides are measured in turn, under the
// same load, by the same processes.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace lightning::bench {

inline constexpr uint32_t kMaxProcs = 8;

inline uint64_t NowNs() {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
          .count());
}

// One slice: processes 0 .. procs-1 work, the others sleep. `side` and `workload` are the worker's to interpret.
struct Phase {
  uint32_t side = 0;
  uint32_t workload = 0;
  uint32_t procs = 1;
};

// What one process did in one slice.
struct Counts {
  uint64_t ops = 0;
  uint64_t nanoseconds = 0;
  uint64_t torn = 0;        // values that were no value
  uint64_t missed = 0;      // keys not found that were there
  uint64_t increments = 0;  // read-modify-writes done
};

class Worker {
 public:
  virtual ~Worker() = default;
  // In the child, before the first slice: connect, map, draw up sequences. An error's text, or empty.
  virtual std::string Prepare() = 0;
  // Works until NowNs() >= deadline, looking every hundred operations or so. An error's text, or empty.
  virtual std::string Run(const Phase& phase, uint64_t deadline, Counts* counts) = 0;
};

struct Group {
  uint32_t procs = 1;  // children to fork, at most kMaxProcs
  uint32_t cores = 0;  // how many of the machine's cores they may use; 0 means all
  std::chrono::nanoseconds slice{};
  std::vector<Phase> phases;
};

struct GroupResult {
  std::string error;                                  // empty when all went well
  std::vector<std::array<Counts, kMaxProcs>> counts;  // by phase and process
  // Operations a second in a phase, all its processes together.
  double Rate(size_t phase) const;
  Counts Sum() const;  // over everything, warm-up included
};

// Forks, calls make(process number) in each child, runs the phases behind a common barrier, and reaps. A child has a
// core of its own in each phase that has no more processes than cores, and shares them all otherwise.
GroupResult RunGroup(const Group& group, const std::function<std::unique_ptr<Worker>(uint32_t)>& make);

// The processors this process may run on when the program starts.
const std::vector<int>& Cores();
void PinTo(int core);            // this thread, to one core
void Unpin(uint32_t cores = 0);  // to the first so many cores; 0 means all

}  // namespace lightning::bench
