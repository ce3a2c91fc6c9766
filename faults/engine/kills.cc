// Real processes at full speed on keys that they share and on keys of their own: killed at random moments, stopped and
// continued, forked in the middle of their work, replaced by successors that have their pids. After each round of kills
// the survivors pause, the segment is recovered, and its content is held against what everybody wrote down.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <fstream>

#include "faults/check/linear_history.h"
#include "faults/engine/clients_inside.h"
#include "faults/engine/full_directory.h"
#include "faults/engine/kill_worker.h"
#include "faults/engine/parts.h"
#include "faults/model/content.h"
#include "faults/model/random.h"
#include "faults/report/progress.h"
#include "faults/report/source_line.h"
#include "faults/target/segments.h"

namespace lightning::faults {
namespace {

constexpr uint32_t kKillsInRound = 12;
constexpr uint64_t kRoundsPerFull = 16;   // rounds between two full directories
constexpr uint64_t kRecyclePercent = 25;  // of the dead have their pid used again
constexpr uint32_t kRecycleTries = 8;     // on a machine where others start processes too
// Two processes of one pid that began in the same clock tick (10 ms), with the same code and stack as two forks of one
// parent have, are the same to the store (docs/fault-model.md): no pid comes back before that.
constexpr useconds_t kTickMicroseconds = 20'000;
// Of one key and round; a history of some hundred thousand operations takes about as many states.
constexpr uint64_t kStatesOfAKey = 50'000'000;
constexpr const char* kLastPid = "/proc/sys/kernel/ns_last_pid";

// A worker, as the run sees it.
struct Process {
  pid_t pid = -1;
  uint32_t stopped = 0;       // kills until it is continued; zero: it runs
  uint64_t others_began = 0;  // what the others had done when it was stopped
};

class KillsRun {
 public:
  KillsRun(uint64_t seed, Isolation isolation, const KillsSetup& setup, KillsPart* part)
      : random_(MixSeeds(seed, 5)), patience_(setup.patience), part_(part), processes_(setup.processes) {
    LIGHTNING_ASSERT(setup.processes > 0 && setup.processes <= kMostLanes);
    options_.size = (20 + setup.processes) * uint64_t{1} << 20;
    options_.max_objects = 2 * (kKillKeys + setup.processes * (kOwnKeys + 1));
    options_.max_clients = 4 * setup.processes + 4;
    options_.max_pins = 64;
    options_.event_slots = 16;
    options_.isolation = isolation;
    options_.lock_timeout = std::chrono::seconds(10);
    void* board =
        mmap(nullptr, sizeof(KillBoard), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    LIGHTNING_ASSERT(board != MAP_FAILED);
    board_ = new (board) KillBoard;
    board_->lies.store(setup.lies);
    board_->hangs.store(setup.hangs);
    board_->records = std::min(setup.records, kLogRecords);
    // Children of a worker that was killed become ours: nobody else would wait for their end.
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    const int fd = open(kLastPid, O_WRONLY | O_CLOEXEC);
    if (fd < 0) part_->cannot_recycle = fmt::format("{} cannot be written: {}", kLastPid, strerror(errno));
    last_pid_ = ScopedFd(fd);
  }
  ~KillsRun() {
    for (uint32_t lane = 0; lane < lanes(); ++lane) End(lane, SIGKILL);
    prctl(PR_SET_CHILD_SUBREAPER, 0);
    munmap(board_, sizeof(KillBoard));
  }
  KillsRun(const KillsRun&) = delete;
  KillsRun& operator=(const KillsRun&) = delete;

  std::string Begin() {
    Result<std::unique_ptr<FileSegment>> file = FileSegment::Create(options_);
    if (!file.ok()) return "making the segment: " + file.status().ToString();
    file_ = std::move(*file);
    Result<Store> store = Store::Open(file_->path(), options_);
    if (!store.ok()) return "opening the segment: " + store.status().ToString();
    store_.emplace(std::move(*store));
    Result<Client> client = store_->Connect();
    if (!client.ok()) return "attaching: " + client.status().ToString();
    client_.emplace(std::move(*client));
    board_->phase.store(Phase::kRun);
    for (uint32_t lane = 0; lane < lanes(); ++lane) Spawn(lane);
    return "";
  }

  std::string Round() {
    std::string error = part_->rounds++ % kRoundsPerFull == 0 ? FillDirectory() : "";
    for (uint32_t i = 0; i < kKillsInRound && error.empty(); ++i) {
      error = KillOne();
      if (error.empty()) error = ContinueSome(/*all=*/false);
    }
    if (error.empty()) error = ContinueSome(/*all=*/true);
    if (error.empty()) error = Pause();
    if (error.empty()) error = Judge();
    if (!error.empty()) return error;
    for (uint32_t lane = 0; lane < lanes(); ++lane) board_->lanes[lane].count.store(0);
    board_->phase.store(Phase::kRun);
    return "";
  }

 private:
  uint32_t lanes() const { return static_cast<uint32_t>(processes_.size()); }

  void Spawn(uint32_t lane) {
    const uint64_t seed = random_.Next();
    board_->lanes[lane].parked.store(0);  // one that was killed before it woke up had left it set
    Process& process = processes_[lane];
    process = {};
    process.pid = fork();
    LIGHTNING_ASSERT(process.pid >= 0);
    if (process.pid == 0) RunKillWorker(*store_, *board_, lane, seed);
    setpgid(process.pid, process.pid);  // it does so too: whoever is first
  }

  // Waits for it and for its children, and closes what it had begun. Its exit status; -1 when a signal ended it.
  int End(uint32_t lane, int signal) {
    const pid_t pid = processes_[lane].pid;
    if (pid <= 0) return 0;
    if (signal != 0) kill(-pid, signal);
    int status = 0;
    waitpid(pid, &status, 0);
    while (waitpid(-pid, nullptr, 0) > 0 || errno == EINTR) {
    }
    processes_[lane].pid = -1;
    KillLane& its = board_->lanes[lane];
    part_->forked += its.forked.exchange(0);
    const uint64_t count = its.count.load();
    if (count > 0 && its.records[count - 1].done.load() == 0) its.records[count - 1].end = MonotonicNanoseconds();
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  std::string KillOne() {
    const auto lane = static_cast<uint32_t>(random_.Below(lanes()));
    // At any moment of its work; sometimes at its very beginning, sometimes stopped for a while before.
    const uint64_t kind = random_.Below(10);
    if (kind == 0) {
      const std::string error = Replace(lane);
      if (!error.empty()) return error;
      usleep(static_cast<useconds_t>(random_.Below(1500)));
    } else {
      usleep(static_cast<useconds_t>(random_.Between(500, 12'000)));
    }
    std::string error;
    if (kind == 1) {
      error = Stop(lane, 1);
      usleep(static_cast<useconds_t>(random_.Below(10'000)));
    }
    // Another one stands still with whatever it has in hand, and goes on after some others have died.
    if (kind == 2 || kind == 3)
      error = Stop(static_cast<uint32_t>(random_.Below(lanes())), static_cast<uint32_t>(random_.Between(1, 4)));
    if (!error.empty()) return error;
    part_->odd_moments += kind == 0 || processes_[lane].stopped != 0 ? 1 : 0;
    return Replace(lane);
  }

  // Kills it, and starts another in its place; sometimes with its pid.
  std::string Replace(uint32_t lane) {
    const Process dead = processes_[lane];
    std::string error = Kill(lane);
    if (!error.empty()) return error;
    if (last_pid_.get() < 0 || !random_.Percent(kRecyclePercent)) {
      Spawn(lane);
      return "";
    }
    for (uint32_t tries = 1;; ++tries) {
      AskForPid(dead.pid);
      Spawn(lane);
      part_->recycled_pids += processes_[lane].pid == dead.pid ? 1 : 0;
      if (processes_[lane].pid == dead.pid || tries == kRecycleTries || last_pid_.get() < 0) return "";
      // Somebody else was quicker.
      error = Kill(lane);
      if (!error.empty()) return error;
    }
  }

  std::string Kill(uint32_t lane) {
    const int status = End(lane, SIGKILL);
    if (status >= 0) return EndedByItself(lane, status);
    ++part_->count;
    return "";
  }

  // The kernel gives the next process the number after this, which has to be free already. Whoever died until now, a
  // successor that somebody else was quicker than included, was born before: the numbers that come now are not theirs
  // in the same tick.
  void AskForPid(pid_t pid) {
    usleep(kTickMicroseconds);
    const std::string number = std::to_string(pid - 1);
    if (pwrite(last_pid_.get(), number.data(), number.size(), 0) >= 0) return;
    part_->cannot_recycle = fmt::format("{} cannot be written: {}", kLastPid, strerror(errno));
    last_pid_ = ScopedFd();
  }

  std::string EndedByItself(uint32_t lane, int status) const {
    return fmt::format("a worker ended by itself with status {}: {}", status, board_->lanes[lane].error);
  }

  uint64_t DoneByOthers(uint32_t lane) const {
    uint64_t sum = 0;
    for (uint32_t other = 0; other < lanes(); ++other) sum += other == lane ? 0 : board_->lanes[other].count.load();
    return sum;
  }

  // Until so many have been killed after that.
  std::string Stop(uint32_t lane, uint32_t kills) {
    Process& process = processes_[lane];
    if (process.stopped != 0) return "";
    kill(process.pid, SIGSTOP);
    siginfo_t info = {};
    while (waitid(P_PID, static_cast<id_t>(process.pid), &info, WSTOPPED | WEXITED | WNOWAIT) != 0) {
      if (errno != EINTR) return fmt::format("waiting for a stopped worker: {}", strerror(errno));
    }
    if (info.si_code != CLD_STOPPED) return EndedByItself(lane, info.si_status);
    process.stopped = kills;
    process.others_began = DoneByOthers(lane);
    ++part_->stopped;
    return "";
  }

  std::string ContinueSome(bool all) {
    for (uint32_t lane = 0; lane < lanes(); ++lane) {
      Process& process = processes_[lane];
      if (process.stopped == 0 || (--process.stopped != 0 && !all)) continue;
      process.stopped = 0;
      part_->beside_stopped += DoneByOthers(lane) - process.others_began;
      if (kill(process.pid, SIGCONT) != 0) return fmt::format("continuing a worker: {}", strerror(errno));
      ++part_->continued;
    }
    return "";
  }

  std::string FillDirectory() {
    if (!part_->cannot_fill.empty()) return "";
    const FullDirectory full = TryFullDirectory(random_.Next(), options_.isolation);
    part_->directory_full += full.refused;
    part_->cannot_fill = full.cannot_run;
    return full.error;
  }

  std::string Pause() {
    board_->phase.store(Phase::kPause);
    const uint64_t begin = MonotonicNanoseconds();
    for (uint32_t lane = 0; lane < lanes(); ++lane) {
      pid_t& pid = processes_[lane].pid;
      while (board_->lanes[lane].parked.load() == 0) {
        int status = 0;
        if (waitpid(pid, &status, WNOHANG) == pid) {
          pid = -1;
          const int exit = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
          return fmt::format("a survivor ended with {}: {}", exit, board_->lanes[lane].error);
        }
        if (MonotonicNanoseconds() - begin > patience_)
          return fmt::format("survivor {} hangs: {}", lane, StacksOf(pid));
        usleep(200);
      }
    }
    return "";
  }

  std::string Judge() {
    const Result<RecoveryReport> report = client_->Recover();
    if (!report.ok()) return "Recover: " + report.status().ToString();
    const CheckReport check = client_->Check();
    if (check.busy) return "Check: busy, though all pause: " + ClientsInside(file_->segment());
    if (!check.ok) return "Check: " + check.violations[0];
    History history = std::move(first_);
    for (uint32_t lane = 0; lane < lanes(); ++lane) Collect(lane, &history);
    std::string error = Look(&history);
    if (error.empty()) error = JudgeHistory(history);
    if (!error.empty()) return error;
    const LinearJudge linear = JudgeLinearizable(history, {.states = kStatesOfAKey});
    part_->linear_states += linear.states;
    return linear.error;
  }

  void Collect(uint32_t lane, History* history) {
    KillLane& its = board_->lanes[lane];
    const uint64_t count = its.count.load();
    part_->forked += its.forked.exchange(0);
    for (uint64_t i = 0; i < count; ++i) {
      const KillRecord& record = its.records[i];
      const bool done = record.done.load() != 0;
      ++part_->operations;
      part_->disjoint += record.keys[0] >= kKillKeys ? 1 : 0;
      for (uint32_t k = 0; k < record.keys_used; ++k) {
        if (record.did[k] == Did::kNothing) continue;
        // A look that was interrupted saw nothing that counts.
        const bool change = record.did[k] == Did::kWrite || record.did[k] == Did::kDelete;
        if (!done && !change) continue;
        part_->reads += change ? 0 : 1;
        (*history)[record.keys[k]].events.push_back({record.did[k], done, record.begin, record.end, record.write,
                                                     record.keys_used == 1 ? record.version : 0, record.expected,
                                                     lane + 1});
      }
    }
  }

  // What is there now is one more look at every key, and the beginning of the next round's history.
  std::string Look(History* history) {
    uint64_t present = 0, bytes = 0;
    for (uint32_t key = 0; key < OwnKey(lanes(), 0); ++key) {
      const std::string error = LookAt(key, &present, &bytes, &(*history)[key]);
      if (!error.empty()) return error;
    }
    // A forked child may have died between its put and its delete; nobody wrote down what it did.
    for (uint32_t lane = 0; lane < lanes(); ++lane) {
      const std::string error = LookAt(ForkKey(lane), &present, &bytes, nullptr);
      if (!error.empty()) return error;
    }
    const Result<Stats> stats = client_->GetStats();
    if (!stats.ok()) return "GetStats: " + stats.status().ToString();
    if (stats->objects != present) return fmt::format("{} objects are counted, {} are there", stats->objects, present);
    if (stats->bytes_retired != 0)
      return fmt::format("{} bytes are retired and nobody pins them", stats->bytes_retired);
    if (stats->bytes_used != bytes) return fmt::format("{} bytes are used instead of {}", stats->bytes_used, bytes);
    return "";
  }

  std::string LookAt(uint32_t key, uint64_t* present, uint64_t* bytes, KeyHistory* history) {
    KeyEvent event;
    event.did = Did::kSawNothing;
    event.completed = true;
    event.begin = MonotonicNanoseconds();
    const Result<Handle> handle = client_->Get(KillKey(key));
    if (handle.ok()) {
      std::string error;
      event.did = Did::kSaw;
      event.write = ReadValue(handle->bytes(), key, &error);
      event.version = handle->version();
      if (event.write == 0) return fmt::format("key {} holds {}", key, error);
      ++*present;
      *bytes += HeapBytes(KillKey(key), {0, handle->size(), 0, false});
    } else if (handle.code() != Code::kNotFound) {
      return fmt::format("get of key {}: {}", key, handle.status().ToString());
    }
    event.end = MonotonicNanoseconds();
    if (history == nullptr) return "";
    history->events.push_back(event);
    first_[key].first = event.write;
    first_[key].first_version = event.version;
    return "";
  }

  Options options_;
  Random random_;
  const uint64_t patience_;  // ns
  KillsPart* const part_;
  KillBoard* board_ = nullptr;
  std::unique_ptr<FileSegment> file_;
  std::optional<Store> store_;
  std::optional<Client> client_;
  std::vector<Process> processes_;
  ScopedFd last_pid_;
  History first_;
};

}  // namespace

KillsPart RunKillsPart(uint64_t seed, Isolation isolation, const Budget& budget, Findings* findings,
                       const KillsSetup& setup) {
  KillsPart part;
  part.modes = IsolationName(isolation);
  Progress progress("kills", budget.quiet);
  const Clock::time_point begin = Clock::now();
  KillsRun run(seed, isolation, setup, &part);
  std::string error = run.Begin();
  while (error.empty() && (SecondsSince(begin) < budget.seconds || part.count < budget.at_least)) {
    error = run.Round();
    progress.Show(fmt::format("{} killed, {} stopped, {} forked, {} pids recycled, {} operations checked ({})",
                              part.count, part.stopped, part.forked, part.recycled_pids, part.operations, part.modes));
  }
  part.seconds = SecondsSince(begin);
  if (!error.empty())
    findings->push_back({"kills", fmt::format("after {} kills in mode {}: {}", part.count, part.modes, error),
                         fmt::format("lightning-faults kills --seed {} --mode {} --processes {} --seconds {:.0f}", seed,
                                     part.modes, setup.processes, std::max(60.0, 3 * part.seconds))});
  return part;
}

}  // namespace lightning::faults
