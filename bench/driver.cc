#include "bench/driver.h"

#include <immintrin.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <new>

#include "bench/shared_area.h"

namespace lightning::bench {
namespace {

constexpr size_t kMaxPhases = 512;
constexpr uint64_t kLeadNs = 300'000;  // from the barrier to the start, so that all have woken

// What the processes of a group share.
struct Board {
  std::atomic<uint32_t> arrived{0};
  std::atomic<uint32_t> generation{0};
  std::atomic<uint32_t> aborted{0};
  std::atomic<uint64_t> start{0};  // when the slice begins; written before the generation moves on
  char error[512] = {};
  std::array<Counts, kMaxProcs> counts[kMaxPhases];
};

void FutexWait(std::atomic<uint32_t>* word, uint32_t expected) {
  const timespec limit{0, 50'000'000};
  syscall(SYS_futex, word, FUTEX_WAIT, expected, &limit, nullptr, 0);
}

void FutexWakeAll(std::atomic<uint32_t>* word) { syscall(SYS_futex, word, FUTEX_WAKE, INT32_MAX, nullptr, nullptr, 0); }

// False when the group was aborted. Sleepers sleep: a spinning one would slow down those who work.
bool Barrier(Board* board, uint32_t procs) {
  const uint32_t generation = board->generation.load();
  if (board->arrived.fetch_add(1) + 1 == procs) {
    board->arrived.store(0);
    board->start.store(NowNs() + kLeadNs);
    board->generation.store(generation + 1);
    FutexWakeAll(&board->generation);
  }
  while (board->generation.load() == generation) {
    if (board->aborted.load() != 0) return false;
    FutexWait(&board->generation, generation);
  }
  return board->aborted.load() == 0;
}

void Abort(Board* board, const std::string& error) {
  if (board->aborted.exchange(1) == 0) std::snprintf(board->error, sizeof board->error, "%s", error.c_str());
  FutexWakeAll(&board->generation);
}

void Place(uint32_t proc, uint32_t procs, uint32_t limit) {
  const size_t available = limit == 0 ? Cores().size() : std::min<size_t>(limit, Cores().size());
  if (procs <= available) {
    PinTo(Cores()[proc]);
  } else {
    Unpin(limit);
  }
}

// The whole life of a child.
void RunChild(const Group& group, uint32_t proc, Board* board, Worker* worker) {
  std::string error = worker->Prepare();
  if (!error.empty()) return Abort(board, error);
  for (size_t i = 0; i < group.phases.size(); ++i) {
    const Phase& phase = group.phases[i];
    const bool active = proc < phase.procs;
    if (active) Place(proc, phase.procs, group.cores);
    if (!Barrier(board, group.procs)) return;
    if (!active) continue;
    const uint64_t start = board->start.load();
    while (NowNs() < start) _mm_pause();
    Counts* counts = &board->counts[i][proc];
    const uint64_t begin = NowNs();
    error = worker->Run(phase, start + static_cast<uint64_t>(group.slice.count()), counts);
    counts->nanoseconds = NowNs() - begin;
    if (!error.empty()) return Abort(board, error);
  }
}

// Waits for the children, and for none longer than until `deadline`.
void Reap(const std::vector<pid_t>& children, uint64_t deadline, Board* board) {
  size_t left = children.size();
  std::vector<bool> done(children.size());
  while (left > 0) {
    for (size_t i = 0; i < children.size(); ++i) {
      int status = 0;
      if (done[i] || waitpid(children[i], &status, WNOHANG) == 0) continue;
      done[i] = true;
      --left;
      if (WIFSIGNALED(status)) {
        Abort(board, "process " + std::to_string(i) + " died of signal " + std::to_string(WTERMSIG(status)));
      }
    }
    if (NowNs() > deadline) {
      Abort(board, "the processes did not finish in time");
      for (size_t i = 0; i < children.size(); ++i) {
        if (!done[i]) kill(children[i], SIGKILL);
      }
    }
    usleep(5000);
  }
}

}  // namespace

double GroupResult::Rate(size_t phase) const {
  double rate = 0;
  for (const Counts& c : counts[phase]) {
    if (c.nanoseconds > 0) rate += static_cast<double>(c.ops) * 1e9 / static_cast<double>(c.nanoseconds);
  }
  return rate;
}

Counts GroupResult::Sum() const {
  Counts sum;
  for (const auto& phase : counts) {
    for (const Counts& c : phase) {
      sum.ops += c.ops;
      sum.nanoseconds += c.nanoseconds;
      sum.torn += c.torn;
      sum.missed += c.missed;
      sum.increments += c.increments;
    }
  }
  return sum;
}

GroupResult RunGroup(const Group& group, const std::function<std::unique_ptr<Worker>(uint32_t)>& make) {
  GroupResult result;
  if (group.procs > kMaxProcs || group.phases.size() > kMaxPhases) {
    result.error = "too many processes or phases";
    return result;
  }
  SharedArea area(sizeof(Board));
  if (area.data() == nullptr) {
    result.error = area.error();
    return result;
  }
  auto* board = new (area.data()) Board;
  Cores();  // before the children narrow theirs
  std::fflush(nullptr);
  const pid_t parent = getpid();
  std::vector<pid_t> children;
  for (uint32_t proc = 0; proc < group.procs; ++proc) {
    const pid_t pid = fork();
    if (pid == 0) {
      DieWithParent(parent);
      {
        const std::unique_ptr<Worker> worker = make(proc);  // gone, and with it its client, before the exit
        RunChild(group, proc, board, worker.get());
      }
      _exit(0);
    }
    if (pid < 0) {
      Abort(board, "fork failed");
      break;
    }
    children.push_back(pid);
  }
  const uint64_t expected = static_cast<uint64_t>(group.slice.count()) * group.phases.size();
  Reap(children, NowNs() + 60'000'000'000 + 3 * expected, board);
  if (board->aborted.load() != 0) result.error = board->error[0] != 0 ? board->error : "aborted";
  result.counts.assign(board->counts, board->counts + group.phases.size());
  return result;
}

const std::vector<int>& Cores() {
  static const std::vector<int> cores = [] {
    std::vector<int> list;
    cpu_set_t set;
    CPU_ZERO(&set);
    sched_getaffinity(0, sizeof set, &set);
    for (int i = 0; i < CPU_SETSIZE; ++i) {
      if (CPU_ISSET(i, &set)) list.push_back(i);
    }
    return list;
  }();
  return cores;
}

void PinTo(int core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(core, &set);
  sched_setaffinity(0, sizeof set, &set);
}

void Unpin(uint32_t cores) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (size_t i = 0; i < Cores().size() && (cores == 0 || i < cores); ++i) CPU_SET(Cores()[i], &set);
  sched_setaffinity(0, sizeof set, &set);
}

}  // namespace lightning::bench
