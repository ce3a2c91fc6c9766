#include "faults/engine/kill_worker.h"

#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <deque>

#include "faults/model/random.h"

namespace lightning::faults {
namespace {

constexpr size_t kKeptHandles = 6;
constexpr uint64_t kLargestValue = 1024;
constexpr uint64_t kOwnPercent = 25;    // of the operations go to keys that nobody else touches
constexpr uint64_t kForkEvery = 4'000;  // operations; a fork takes as long as hundreds of them

class Worker {
 public:
  Worker(const Store& store, Client client, KillBoard& board, uint32_t lane, uint64_t seed)
      : store_(store),
        client_(std::move(client)),
        board_(board),
        lane_(board.lanes[lane]),
        number_(lane),
        random_(seed) {}

  void Run() {
    if (board_.hangs.load() && number_ == 0) Hang();
    while (true) {
      const Phase phase = board_.phase.load();
      if (phase == Phase::kEnd) break;
      if (phase == Phase::kPause || LogIsFull()) {
        Park();
        continue;
      }
      One();
    }
    kept_.clear();
  }

 private:
  [[noreturn]] void Fail(const std::string& what) {
    snprintf(lane_.error, sizeof lane_.error, "%s", what.c_str());
    _exit(9);
  }

  void Park() {
    for (const Kept& kept : kept_) Verify(kept);
    kept_.clear();
    AwaitChild(0);
    // Who waits for room in its log is met here by the pause that makes room.
    for (Phase phase = board_.phase.load(); phase == Phase::kPause || (phase == Phase::kRun && LogIsFull());
         phase = board_.phase.load()) {
      if (phase == Phase::kPause) lane_.parked.store(1);
      usleep(200);
    }
    lane_.parked.store(0);
  }

  bool LogIsFull() const { return lane_.count.load() == board_.records; }

  uint32_t PickKey() {
    if (own_) return OwnKey(number_, static_cast<uint32_t>(random_.Below(kOwnKeys)));
    return zipfian_.Pick(random_.Unit());
  }
  // The key `i` places behind it, among the keys of the same kind.
  uint32_t Neighbour(uint32_t key, uint32_t i) const {
    if (!own_) return (key + i) % kKillKeys;
    return OwnKey(number_, (key - OwnKey(number_, 0) + i) % kOwnKeys);
  }

  // Half of the lanes do YCSB's A, half its F; both with inserts, deletes, batches and creations mixed in. Now and then
  // a child is forked, which goes on beside its parent.
  void One() {
    if (child_ > 0) AwaitChild(WNOHANG);
    if (child_ == 0 && random_.Below(kForkEvery) == 0) Fork();
    own_ = random_.Percent(kOwnPercent);
    const uint64_t kind = random_.Below(100);
    if (kind < 44) return Read();
    if (kind < 52) return Delete();
    if (kind < 56) return Batch();
    if (kind < 61) return CreateAndSeal();
    if (number_ % 2 == 0) return Put(PickKey());
    return ReadModifyWrite();
  }

  [[gnu::noinline]] void Hang() {
    while (true) pause();
  }

  // The child has everything that the parent has in hand: pinned handles, and every other time an object that is being
  // created.
  void Fork() {
    const bool connects = random_.Percent(50);
    Result<Writer> unsealed = connects ? client_.Create(KillKey(OwnKey(number_, 0)), 64) : Status(Code::kNotFound);
    const pid_t parent = getpid();
    child_ = fork();
    if (child_ < 0) Fail(fmt::format("fork: {}", strerror(errno)));
    if (child_ > 0) {
      lane_.forked.fetch_add(1);
      if (unsealed.ok() && !unsealed->Abort().ok()) Fail("the writer of a forking parent cannot be aborted");
      return;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(0);
    std::string error;
    if (unsealed.ok() && unsealed->Seal().code() != Code::kForked) error = "the parent's writer can be sealed";
    kept_.clear();  // which must not take the parent's pins
    if (error.empty()) error = RunForkedChild(client_, store_, number_, connects);
    snprintf(lane_.child_error, sizeof lane_.child_error, "%s", error.c_str());
    _exit(error.empty() ? 0 : 9);
  }

  void AwaitChild(int options) {
    if (child_ <= 0) return;
    int status = 0;
    pid_t ended = 0;
    do {
      ended = waitpid(child_, &status, options);
    } while (ended < 0 && errno == EINTR);
    if (ended == 0) return;
    child_ = 0;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
      Fail(fmt::format("a forked child ended with status {}: {}", status, lane_.child_error));
  }

  KillRecord& Begin(uint32_t key, Did intent, WriteId write) {
    const uint64_t at = lane_.count.load(std::memory_order_relaxed);
    if (at >= board_.records) Fail(fmt::format("its log of {} records has {} already", board_.records, at));
    KillRecord& record = lane_.records[at];
    record.keys_used = 1;
    record.keys[0] = key;
    record.did[0] = intent;
    record.write = write;
    record.version = record.expected = record.end = 0;
    record.done.store(0, std::memory_order_relaxed);
    record.begin = MonotonicNanoseconds();
    return record;
  }
  // From here on a death leaves the operation in flight.
  void Intend() { lane_.count.fetch_add(1, std::memory_order_release); }
  void Done(KillRecord& record) {
    record.end = MonotonicNanoseconds();
    record.done.store(1, std::memory_order_release);
  }
  WriteId NextWrite() { return uint64_t{number_ + 1} << 48 | (lane_.writes.fetch_add(1) + 1); }

  const std::byte* MakeValue(uint32_t key, WriteId write, uint64_t size) {
    FillValue(buffer_, size, key, write);
    return buffer_;
  }
  uint64_t RandomSize() { return random_.Between(kSmallestValue, kLargestValue); }

  struct Kept {
    Handle handle;
    uint32_t key;
    WriteId write;
  };
  void Verify(const Kept& kept) {
    std::string error;
    const WriteId write = ReadValue(kept.handle.bytes(), kept.key, &error);
    if (write != kept.write) Fail(fmt::format("the bytes of a pinned key {} changed: {}", kept.key, error));
  }

  // Completes the record with what was seen; keeps some handles for a while.
  uint64_t Look(KillRecord& record, uint32_t key, Result<Handle> handle) {
    if (handle.code() == Code::kNotFound) {
      record.did[0] = Did::kSawNothing;
      Done(record);
      return 0;
    }
    if (!handle.ok()) Fail(fmt::format("get of key {}: {}", key, handle.status().ToString()));
    std::string error;
    const WriteId write = ReadValue(handle->bytes(), key, &error);
    record.write = write;
    if (write == 0) Fail(fmt::format("get of key {} gave {}", key, error));
    const uint64_t version = handle->version();
    record.version = version;
    record.did[0] = Did::kSaw;
    if (board_.lies.load(std::memory_order_relaxed) && number_ == 0 && key == 0) Lie(record);
    Done(record);
    if (random_.Percent(10)) kept_.push_back({std::move(*handle), key, write});
    if (kept_.size() > kKeptHandles) {
      Verify(kept_.front());
      kept_.pop_front();
    }
    return version;
  }

  // Writes down what it had seen there before that.
  void Lie(KillRecord& record) {
    const WriteId before = std::exchange(seen_, record.write);
    if (before == 0 || before == record.write) return;
    record.write = before;
    record.version = 0;
  }

  void Read() {
    const uint32_t key = PickKey();
    KillRecord& record = Begin(key, Did::kNothing, 0);
    Intend();
    Look(record, key, client_.Get(KillKey(key)));
  }

  void Finish(KillRecord& record, const Result<uint64_t>& result, const char* what) {
    if (result.ok()) {
      record.version = *result;
    } else if (result.code() == Code::kVersionMismatch || result.code() == Code::kBeingCreated ||
               result.code() == Code::kAlreadyExists) {
      record.did[0] = Did::kNothing;
    } else if (result.code() == Code::kNotFound) {
      record.did[0] = Did::kSawNothing;
    } else {
      Fail(fmt::format("{} of key {}: {}", what, record.keys[0], result.status().ToString()));
    }
    Done(record);
  }

  void Put(uint32_t key) {
    const WriteId write = NextWrite();
    const uint64_t size = RandomSize();
    const std::byte* value = MakeValue(key, write, size);
    KillRecord& record = Begin(key, Did::kWrite, write);
    Intend();
    Finish(record, client_.Put(KillKey(key), Bytes(value, size)), "put");
  }

  void ReadModifyWrite() {
    const uint32_t key = PickKey();
    KillRecord& look = Begin(key, Did::kNothing, 0);
    Intend();
    const uint64_t version = Look(look, key, client_.Get(KillKey(key)));
    if (LogIsFull()) return;
    if (version == 0) return Put(key);
    const WriteId write = NextWrite();
    const uint64_t size = RandomSize();
    const std::byte* value = MakeValue(key, write, size);
    KillRecord& record = Begin(key, Did::kWrite, write);
    record.expected = version;
    Intend();
    Finish(record, client_.Replace(KillKey(key), Bytes(value, size), version), "replace");
  }

  void Delete() {
    const uint32_t key = PickKey();
    KillRecord& record = Begin(key, Did::kDelete, 0);
    Intend();
    const Status status = client_.Delete(KillKey(key));
    if (status.code() == Code::kNotFound) {
      record.did[0] = Did::kSawNothing;
    } else if (status.code() == Code::kBeingCreated) {
      record.did[0] = Did::kNothing;
    } else if (!status.ok()) {
      Fail(fmt::format("delete of key {}: {}", key, status.ToString()));
    }
    Done(record);
  }

  void CreateAndSeal() {
    const uint32_t key = PickKey();
    const WriteId write = NextWrite();
    const uint64_t size = RandomSize();
    KillRecord& record = Begin(key, Did::kWrite, write);
    Intend();
    Result<Writer> writer = client_.Create(KillKey(key), size);
    if (!writer.ok()) return Finish(record, writer.status(), "create");
    FillValue(writer->Writable().data(), size, key, write);
    Finish(record, writer->Seal(), "seal");
  }

  // One write of several keys, under one number.
  void Batch() {
    const WriteId write = NextWrite();
    KillRecord& record = Begin(PickKey(), Did::kWrite, write);
    record.keys_used = kBatchKeys;
    std::vector<std::string> names, values;
    for (uint32_t i = 0; i < kBatchKeys; ++i) {
      // Neighbours of the first: different, and popular ones too.
      record.keys[i] = Neighbour(record.keys[0], i);
      record.did[i] = Did::kWrite;
      const uint64_t size = RandomSize();
      names.push_back(KillKey(record.keys[i]));
      values.emplace_back(reinterpret_cast<const char*>(MakeValue(record.keys[i], write, size)), size);
    }
    std::vector<BatchItem> items;
    for (uint32_t i = 0; i < kBatchKeys; ++i) items.push_back({names[i], AsBytes(values[i]), {}});
    Intend();
    const Result<std::vector<uint64_t>> versions = client_.PutBatch(items);
    if (versions.code() == Code::kBeingCreated) {
      std::fill_n(record.did, kBatchKeys, Did::kNothing);
    } else if (!versions.ok()) {
      Fail(fmt::format("batch at key {}: {}", record.keys[0], versions.status().ToString()));
    }
    Done(record);
  }

  const Store& store_;
  Client client_;
  KillBoard& board_;
  KillLane& lane_;
  const uint32_t number_;
  Random random_;
  const Zipfian zipfian_{kKillKeys};
  std::deque<Kept> kept_;
  pid_t child_ = 0;
  bool own_ = false;  // whether the operation is on keys of its own
  WriteId seen_ = 0;  // what a liar saw last
  std::byte buffer_[kLargestValue] = {};
};

}  // namespace

std::string KillKey(uint32_t key) {
  if (key >= kKillKeys) return fmt::format("own{:08}", key);
  return fmt::format("user{:08}", key * 2654435761u % 100'000'000u);
}

uint64_t MonotonicNanoseconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

Zipfian::Zipfian(uint32_t count) {
  double sum = 0;
  for (uint32_t rank = 1; rank <= count; ++rank) sums_.push_back(sum += 1 / std::pow(rank, 0.99));
  for (double& its : sums_) its /= sum;
}

uint32_t Zipfian::Pick(double unit) const {
  const auto at = std::lower_bound(sums_.begin(), sums_.end(), unit);
  return static_cast<uint32_t>(std::min<std::ptrdiff_t>(at - sums_.begin(), std::ssize(sums_) - 1));
}

void RunKillWorker(const Store& store, KillBoard& board, uint32_t lane, uint64_t seed) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // nobody works on when the run itself is killed
  Result<Client> client = store.Connect();
  if (!client.ok()) {
    snprintf(board.lanes[lane].error, sizeof board.lanes[lane].error, "attaching: %s",
             client.status().ToString().c_str());
    _exit(9);
  }
  {
    Worker worker(store, std::move(*client), board, lane, seed);
    worker.Run();
  }
  _exit(0);
}

}  // namespace lightning::faults
