// Real processes at full speed, killed at random moments. After each round of kills the survivors pause, the segment is
// recovered, and its content is held against what everybody wrote down.
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>

#include "faults/engine/kill_worker.h"
#include "faults/engine/parts.h"
#include "faults/model/content.h"
#include "faults/model/random.h"
#include "faults/report/progress.h"
#include "faults/target/segments.h"

namespace lightning::faults {
namespace {

constexpr uint32_t kKillsInRound = 12;
constexpr uint64_t kPatience = 20'000'000'000;  // ns until a survivor that does not pause counts as hanging

class KillsRun {
 public:
  KillsRun(uint64_t seed, Isolation isolation, KillsPart* part) : random_(MixSeeds(seed, 5)), part_(part) {
    options_.size = 24 << 20;
    options_.max_objects = 2 * kKillKeys;
    options_.max_clients = 3 * kLanes;
    options_.max_pins = 64;
    options_.event_slots = 16;
    options_.isolation = isolation;
    options_.lock_timeout = std::chrono::seconds(10);
    void* board = mmap(nullptr, sizeof(KillBoard), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    LIGHTNING_ASSERT(board != MAP_FAILED);
    board_ = new (board) KillBoard;
    pids_.fill(-1);
  }
  ~KillsRun() {
    for (uint32_t lane = 0; lane < kLanes; ++lane) End(lane, SIGKILL);
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
    for (uint32_t lane = 0; lane < kLanes; ++lane) Spawn(lane);
    return "";
  }

  std::string Round() {
    for (uint32_t i = 0; i < kKillsInRound; ++i) {
      std::string error = KillOne();
      if (!error.empty()) return error;
    }
    std::string error = Pause();
    if (error.empty()) error = Judge();
    if (!error.empty()) return error;
    for (KillLane& lane : board_->lanes) lane.count.store(0);
    board_->phase.store(Phase::kRun);
    return "";
  }

 private:
  void Spawn(uint32_t lane) {
    const uint64_t seed = random_.Next();
    board_->lanes[lane].parked.store(0);  // one that was killed before it woke up had left it set
    pids_[lane] = fork();
    if (pids_[lane] == 0) RunKillWorker(*store_, *board_, lane, seed);
  }

  // Waits for it, and closes what it had begun. Its exit status; -1 when a signal ended it.
  int End(uint32_t lane, int signal) {
    if (pids_[lane] <= 0) return 0;
    if (signal != 0) kill(pids_[lane], signal);
    int status = 0;
    waitpid(pids_[lane], &status, 0);
    pids_[lane] = -1;
    KillLane& its = board_->lanes[lane];
    const uint64_t count = its.count.load();
    if (count > 0 && its.records[count - 1].done.load() == 0) its.records[count - 1].end = MonotonicNanoseconds();
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  std::string KillOne() {
    const auto lane = static_cast<uint32_t>(random_.Below(kLanes));
    // At any moment of its work; sometimes at its very beginning, sometimes stopped for a while before.
    const uint64_t kind = random_.Below(10);
    if (kind == 0) {
      const std::string error = Replace(lane);
      if (!error.empty()) return error;
      usleep(static_cast<useconds_t>(random_.Below(1500)));
    } else {
      usleep(static_cast<useconds_t>(random_.Between(500, 12'000)));
    }
    if (kind == 1) {
      kill(pids_[lane], SIGSTOP);
      usleep(static_cast<useconds_t>(random_.Below(10'000)));
    }
    if (kind == 2) {
      // Stopped, and continued much later.
      const auto other = static_cast<uint32_t>(random_.Below(kLanes));
      kill(pids_[other], SIGSTOP);
      usleep(static_cast<useconds_t>(random_.Below(20'000)));
      kill(pids_[other], SIGCONT);
    }
    part_->odd_moments += kind < 2 ? 1 : 0;
    return Replace(lane);
  }

  // Kills it, and starts another in its place.
  std::string Replace(uint32_t lane) {
    const int status = End(lane, SIGKILL);
    if (status >= 0)
      return fmt::format("a worker ended by itself with status {}: {}", status, board_->lanes[lane].error);
    ++part_->count;
    Spawn(lane);
    return "";
  }

  std::string Pause() {
    board_->phase.store(Phase::kPause);
    const uint64_t begin = MonotonicNanoseconds();
    for (uint32_t lane = 0; lane < kLanes; ++lane) {
      while (board_->lanes[lane].parked.load() == 0) {
        int status = 0;
        if (waitpid(pids_[lane], &status, WNOHANG) == pids_[lane]) {
          pids_[lane] = -1;
          const int exit = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
          return fmt::format("a survivor ended with {}: {}", exit, board_->lanes[lane].error);
        }
        if (MonotonicNanoseconds() - begin > kPatience)
          return fmt::format("survivor {} hangs inside an operation", lane);
        usleep(200);
      }
    }
    return "";
  }

  std::string Judge() {
    const Result<RecoveryReport> report = client_->Recover();
    if (!report.ok()) return "Recover: " + report.status().ToString();
    const CheckReport check = client_->Check();
    if (!check.ok) return "Check: " + (check.violations.empty() ? std::string("busy") : check.violations[0]);
    History history = std::move(first_);
    for (uint32_t lane = 0; lane < kLanes; ++lane) Collect(lane, &history);
    std::string error = Look(&history);
    if (error.empty()) error = JudgeHistory(history);
    return error;
  }

  void Collect(uint32_t lane, History* history) {
    const KillLane& its = board_->lanes[lane];
    const uint64_t count = its.count.load();
    for (uint64_t i = 0; i < count; ++i) {
      const KillRecord& record = its.records[i];
      const bool done = record.done.load() != 0;
      ++part_->operations;
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
    const uint64_t begin = MonotonicNanoseconds();
    uint64_t present = 0, bytes = 0;
    for (uint32_t key = 0; key < kKillKeys; ++key) {
      const Result<Handle> handle = client_->Get(KillKey(key));
      KeyEvent event;
      event.did = Did::kSawNothing;
      event.completed = true;
      event.begin = begin;
      if (handle.ok()) {
        std::string error;
        event.did = Did::kSaw;
        event.write = ReadValue(handle->bytes(), key, &error);
        event.version = handle->version();
        if (event.write == 0) return fmt::format("key {} holds {}", key, error);
        ++present;
        bytes += HeapBytes(KillKey(key), {0, handle->size(), 0, false});
      } else if (handle.code() != Code::kNotFound) {
        return fmt::format("get of key {}: {}", key, handle.status().ToString());
      }
      event.end = MonotonicNanoseconds();
      (*history)[key].events.push_back(event);
      first_[key].first = event.write;
      first_[key].first_version = event.version;
    }
    const Result<Stats> stats = client_->GetStats();
    if (!stats.ok()) return "GetStats: " + stats.status().ToString();
    if (stats->objects != present) return fmt::format("{} objects are counted, {} are there", stats->objects, present);
    if (stats->bytes_retired != 0)
      return fmt::format("{} bytes are retired and nobody pins them", stats->bytes_retired);
    if (stats->bytes_used != bytes) return fmt::format("{} bytes are used instead of {}", stats->bytes_used, bytes);
    return "";
  }

  Options options_;
  Random random_;
  KillsPart* const part_;
  KillBoard* board_ = nullptr;
  std::unique_ptr<FileSegment> file_;
  std::optional<Store> store_;
  std::optional<Client> client_;
  std::array<pid_t, kLanes> pids_;
  History first_;
};

}  // namespace

KillsPart RunKillsPart(uint64_t seed, Isolation isolation, const Budget& budget, Findings* findings) {
  KillsPart part;
  part.modes = IsolationName(isolation);
  Progress progress("kills", budget.quiet);
  const Clock::time_point begin = Clock::now();
  KillsRun run(seed, isolation, &part);
  std::string error = run.Begin();
  while (error.empty() && (SecondsSince(begin) < budget.seconds || part.count < budget.at_least)) {
    error = run.Round();
    progress.Show(fmt::format("{} killed, {} operations checked ({})", part.count, part.operations, part.modes));
  }
  part.seconds = SecondsSince(begin);
  if (!error.empty())
    findings->push_back({"kills", fmt::format("after {} kills in mode {}: {}", part.count, part.modes, error),
                         fmt::format("lightning-faults kills --seed {} --mode {} --seconds {:.0f}", seed, part.modes,
                                     std::max(60.0, 3 * part.seconds))});
  return part;
}

}  // namespace lightning::faults
