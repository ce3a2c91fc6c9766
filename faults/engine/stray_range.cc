#include "faults/engine/stray_range.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <mutex>
#include <optional>
#include <thread>

#include "faults/model/content.h"
#include "faults/model/random.h"
#include "store/client/core.h"

namespace lightning::faults {
namespace {

constexpr uint32_t kKeys = 24;  // of each worker
constexpr uint64_t kLargest = 6000;
constexpr uint64_t kNearMapping = 512 * 1024;  // bytes from the mapping; its guards are wider
constexpr uint64_t kAddresses = uint64_t{1} << 47;
constexpr auto kRelaxed = std::memory_order_relaxed;

// One client and its mappings, as whoever aims at them knows them.
struct Aim {
  Client client;
  std::byte *control = nullptr, *view = nullptr;
};

struct Span {
  uint64_t begin, end;
};

// The window is closed again before anything else happens.
__attribute__((noinline)) std::byte* ControlOf(Gate& gate) {
  Window window(gate);
  return window.Payload(0, 8);
}
__attribute__((noinline)) void FireInWindow(Gate& gate, ShotKind kind, uint64_t offset, uint64_t value) {
  Window window(gate);
  Fire(kind, window.Payload(offset, 8), value);
}

class Range {
 public:
  Range(const Store& store, StrayBoard& board, const StrayRangeSetup& setup)
      : store_(store), board_(board), setup_(setup) {}

  [[noreturn]] void Run() {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    CatchStrayFaults();
    for (uint32_t i = 0; i < setup_.firers / 2; ++i) std::thread([this, i] { FireFor(i); }).detach();
    const std::string error = Prepare();
    snprintf(board_.error, sizeof board_.error, "%s", error.c_str());
    if (error.empty()) {
      for (uint32_t i = setup_.firers / 2; i < setup_.firers; ++i) std::thread([this, i] { FireFor(i); }).detach();
      for (uint32_t i = 0; i < setup_.workers; ++i) std::thread([this, i] { WorkFor(i); }).detach();
    }
    board_.answered.store(1);
    for (uint64_t done = 1;; ++done) {
      while (board_.asked.load() <= done) usleep(100);
      Obey();
      board_.answered.store(done + 1);
    }
  }

 private:
  std::string Prepare() {
    for (uint32_t i = 0; i < setup_.workers; ++i) {
      Result<Client> client = store_.Connect();
      if (!client.ok()) return "attaching: " + client.status().ToString();
      const ClientCore* core = ClientCore::Of(*client);
      segment_ = core->environment().segment;
      auto* view = const_cast<std::byte*>(segment_.view());
      aims_.push_back({std::move(*client), nullptr, view});
      aims_.back().control = ControlOf(ClientCore::Of(aims_.back().client)->gate());
      for (uint32_t key = 0; key < kKeys; ++key) {
        const Result<uint64_t> put = aims_.back().client.Put(KeyOf(i, key), Pattern(100 + 200 * key, Tag(i, key)));
        if (!put.ok()) return "putting: " + put.status().ToString();
      }
    }
    AimAt();
    const int fd = open(store_.path().c_str(), O_RDWR | O_CLOEXEC);
    void* plain = mmap(nullptr, size(), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (plain == MAP_FAILED) return "mapping the segment";
    plain_ = static_cast<std::byte*>(plain);
    return "";
  }

  // Once all threads are there: what belongs to the process alone. (And the forgotten mapping.)
  void FindOwn() {
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
      Span span{};
      if (sscanf(line.c_str(), "%lx-%lx", &span.begin, &span.end) != 2) continue;
      const auto is = [&](const std::byte* mapping) { return reinterpret_cast<uint64_t>(mapping) == span.begin; };
      if (std::none_of(aims_.begin(), aims_.end(), [&](const Aim& aim) { return is(aim.control) || is(aim.view); }))
        own_.push_back(span);
    }
  }

  uint64_t size() const { return segment_.geometry().size; }
  static std::string KeyOf(uint32_t worker, uint32_t key) { return fmt::format("stray-{}-{}", worker, key); }
  static uint64_t Tag(uint32_t worker, uint32_t key) { return worker * 1000 + key; }

  // The words of the store's state; what stands in the heap is looked up when it is fired at.
  void AimAt() {
    const Geometry& g = segment_.geometry();
    const auto words = [&](uint64_t begin, uint64_t count) {
      for (uint64_t i = 0; i < count; ++i) words_.push_back(begin + 8 * i);
    };
    words(0, sizeof(Superblock) / 8);
    words(g.central, sizeof(Central) / 8);
    for (SlotIndex slot = 0; slot < setup_.workers + 1; ++slot) {
      words(g.SlotOffset(slot), offsetof(Slot, log) / 8 + 16);  // state, lock, caches, held locks, count, log
      words(g.ClientPageOffset(slot), 16);
    }
    words(g.buckets, sizeof(Bucket) / 8 * g.home_buckets);
    words(g.object_table, sizeof(Object) / 8 * std::min<uint64_t>(g.objects, 64));
    words(g.block_table, sizeof(Block) / 8 * std::min<uint64_t>(g.blocks, 64));
    words(g.events, 16);
    words(g.doorbells, 16);
  }

  void Obey() {
    if (own_.empty()) FindOwn();
    if (board_.command == StrayCommand::kOpenDoors) {
      for (uint32_t i = 0; i < board_.open_shots; ++i) {
        const OpenShot& shot = board_.shots[i];
        if (shot.through_window)
          FireInWindow(ClientCore::Of(aims_[0].client)->gate(), shot.kind, shot.offset, shot.value);
        else
          Fire(shot.kind, plain_ + shot.offset, shot.value);
      }
      return;
    }
    working_.store(board_.command == StrayCommand::kWork);
    fired_.store(0);
    volley_.fetch_add(1);
    while (fired_.load() < setup_.firers) usleep(100);
    working_.store(false);
    while (at_work_.load() != 0) usleep(100);
  }

  // --- Those who work.

  void WorkFor(uint32_t worker) {
    Random random(MixSeeds(setup_.seed, 100 + worker));
    while (true) {
      at_work_.fetch_add(1);
      while (working_.load()) {
        Operate(worker, random);
        board_.operations.fetch_add(1, kRelaxed);
      }
      at_work_.fetch_sub(1);
      while (!working_.load()) usleep(100);
    }
  }

  void Operate(uint32_t worker, Random& random) {
    Client& client = aims_[worker].client;
    StrayLane& lane = board_.lanes[worker];
    const auto key = static_cast<uint32_t>(random.Below(kKeys));
    const uint64_t kind = random.Below(100);
    const auto operation = kind < 40   ? StrayOperation::kGet
                           : kind < 80 ? StrayOperation::kPut
                           : kind < 90 ? StrayOperation::kDelete
                                       : StrayOperation::kCreate;
    const std::string name = KeyOf(worker, key);
    const std::string value = Pattern(random.Between(1, kLargest), Tag(worker, key));
    lane.operation.store(operation, kRelaxed);
    lane.key.store(key, kRelaxed);
    lane.activity.fetch_add(1);
    PlantOpenPage(worker, PROT_READ | PROT_WRITE);
    Status status;
    bool sound = true;
    switch (operation) {
      case StrayOperation::kGet: {
        const Result<Handle> handle = client.Get(name);
        status = handle.status();
        sound = !handle.ok() || MatchesPattern(handle->bytes(), Tag(worker, key));
        break;
      }
      case StrayOperation::kPut:
        status = client.Put(name, AsBytes(value)).status();
        break;
      case StrayOperation::kDelete:
        status = client.Delete(name);
        break;
      case StrayOperation::kCreate: {
        Result<Writer> writer = client.Create(name, value.size());
        status = writer.status();
        if (!writer.ok()) break;
        std::copy_n(AsBytes(value).begin(), value.size(), writer->Writable().begin());
        status = writer->Seal().status();
        break;
      }
    }
    PlantOpenPage(worker, PROT_READ);
    lane.activity.fetch_add(1);
    if (!sound) Say(fmt::format("the value of {} is not what was put", name));
    // A timeout is the machine's slowness: storms of faults on few processors.
    const bool expected = status.ok() || status.code() == Code::kNotFound || status.code() == Code::kAlreadyExists ||
                          status.code() == Code::kTimeout;
    if (!expected) Say(fmt::format("{}: {}", name, status.ToString()));
  }

  // The page of the superblock, which no operation opens.
  void PlantOpenPage(uint32_t worker, int protection) const {
    if (setup_.plant_open_page && worker == 0) mprotect(aims_[0].control, kPageSize, protection);
  }

  void Say(const std::string& what) {
    if (board_.wrong.exchange(true)) return;
    snprintf(board_.worker_error, sizeof board_.worker_error, "%s", what.c_str());
  }

  // --- Those who fire.

  using Moment = std::array<uint64_t, kMostWorkers>;
  // How many windows each client has opened and closed.
  Moment Windows() const {
    Moment now{};
    for (uint32_t i = 0; i < setup_.workers; ++i) now[i] = ClientCore::Of(aims_[i].client)->gate().windows().load();
    return now;
  }
  bool IsInOperation() const {
    return std::any_of(board_.lanes, board_.lanes + setup_.workers,
                       [](const StrayLane& lane) { return lane.activity.load() % 2 != 0; });
  }

  void FireFor(uint32_t firer) {
    Random random(MixSeeds(setup_.seed, firer));
    uint64_t cursor = random.Next();
    uint64_t volley = 0;
    while (true) {
      while (volley_.load() == volley) usleep(100);
      volley = volley_.load();
      for (uint32_t i = 0; i < board_.quota; ++i) FireOne(firer, random, ++cursor);
      fired_.fetch_add(1);
    }
  }

  static StrayTarget Pick(Random& random) {
    const uint64_t kind = random.Below(100);
    return kind < 40   ? StrayTarget::kAimed
           : kind < 55 ? StrayTarget::kAnywhere
           : kind < 70 ? StrayTarget::kView
           : kind < 80 ? StrayTarget::kNear
           : kind < 95 ? StrayTarget::kWild
                       : StrayTarget::kPrivate;
  }

  std::byte* AddressOf(StrayTarget target, const Aim& aim, uint32_t firer, Random& random, uint64_t cursor) {
    switch (target) {
      case StrayTarget::kAimed: {
        if (cursor % 8 != 0) return aim.control + words_[cursor % words_.size()];
        const Object& object = segment_.object(ObjectId{static_cast<uint32_t>(random.Between(1, 48))});
        const uint64_t payload = object.payload.Load();
        return aim.control + (segment_.InHeap(payload, 64) ? payload + 8 * random.Below(8) : segment_.geometry().heap);
      }
      case StrayTarget::kAnywhere:
        return aim.control + random.Below(size() / 8) * 8;
      case StrayTarget::kView:
        return aim.view + random.Below(size() / 8) * 8;
      case StrayTarget::kNear: {
        const uint64_t distance = 8 + random.Below(kNearMapping / 8) * 8;
        return random.Percent(50) ? aim.control - distance : aim.control + size() + distance - 8;
      }
      case StrayTarget::kWild:
        return Wild(random);
      case StrayTarget::kPrivate:
        return reinterpret_cast<std::byte*>(&private_[firer][random.Below(std::size(private_[firer]))]);
    }
    return nullptr;
  }

  // A store into the process's own memory would end the run and say nothing about the store.
  std::byte* Wild(Random& random) const {
    while (true) {
      const uint64_t address = random.Below(kAddresses / 8) * 8;
      const auto hits = [&](const Span& span) { return address >= span.begin && address < span.end; };
      if (std::none_of(own_.begin(), own_.end(), hits)) return reinterpret_cast<std::byte*>(address);
    }
  }

  void FireOne(uint32_t firer, Random& random, uint64_t cursor) {
    const StrayTarget target = Pick(random);
    const auto client = static_cast<uint32_t>(random.Below(aims_.size()));
    std::byte* const at = AddressOf(target, aims_[client], firer, random, cursor);
    // A byte cannot be told again once the others work.
    const auto kind = static_cast<ShotKind>(random.Below(3));
    const bool whole = kind == ShotKind::kByte && working_.load(kRelaxed);
    const ShotKind used = whole ? ShotKind::kWord : kind;
    const uint64_t value = kStrayMark | firer << 28 | (cursor & 0xFFF'FFFF);
    StrayCount& count = board_.counts[firer][static_cast<uint32_t>(target)];
    const bool during = IsInOperation();
    const Moment before = Windows();
    const bool faulted = Fire(used, at, value);
    std::atomic_thread_fence(std::memory_order_seq_cst);  // it has landed before the windows are looked at again
    const Moment after = Windows();
    if (during) count.during.fetch_add(1, kRelaxed);
    if (faulted) {
      count.faulted.fetch_add(1, kRelaxed);
      return;
    }
    StrayLanding landing{target, used, client, false, false, reinterpret_cast<uint64_t>(at), 0, {}};
    if (!FindLanding(at, &landing)) {
      count.in_private.fetch_add(1, kRelaxed);
      return;
    }
    // A count is odd while a window is open, and higher after one was.
    const uint64_t windows = before[landing.client];
    landing.in_window = windows % 2 != 0 || after[landing.client] != windows;
    (landing.in_window ? count.in_window : count.outside).fetch_add(1, kRelaxed);
    if (!landing.in_window && !board_.has_outside.load(kRelaxed)) KeepOutside(landing);
    const uint32_t number = board_.landings.fetch_add(1);
    if (number < kKeptLandings) board_.kept[number] = landing;
  }

  void KeepOutside(const StrayLanding& landing) {
    const std::lock_guard lock(outside_);
    if (!board_.has_outside.load()) board_.outside = landing;
    board_.has_outside.store(true);
  }

  bool FindLanding(const std::byte* at, StrayLanding* landing) const {
    for (uint32_t i = 0; i < aims_.size(); ++i) {
      for (const bool view : {false, true}) {
        const std::byte* const begin = view ? aims_[i].view : aims_[i].control;
        if (at < begin || at >= begin + size()) continue;
        landing->client = i;
        landing->through_view = view;
        landing->offset = static_cast<uint64_t>(at - begin);
        for (uint32_t lane = 0; lane < setup_.workers; ++lane) {
          const StrayLane& its = board_.lanes[lane];
          const uint64_t windows = ClientCore::Of(aims_[lane].client)->gate().windows().load();
          landing->lanes[lane] = {its.activity.load(), windows, its.operation.load(), its.key.load()};
        }
        return true;
      }
    }
    return false;
  }

  const Store& store_;
  StrayBoard& board_;
  const StrayRangeSetup setup_;
  std::vector<Aim> aims_;
  Segment segment_;
  std::byte* plain_ = nullptr;
  std::vector<uint64_t> words_;
  std::vector<Span> own_;
  std::atomic<uint64_t> volley_ = 0;
  std::atomic<uint32_t> fired_ = 0, at_work_ = 0;
  std::atomic<bool> working_ = false;
  std::mutex outside_;
  uint64_t private_[kMostFirers][4096] = {};
};

}  // namespace

void RunStrayRange(const Store& store, StrayBoard& board, const StrayRangeSetup& setup) {
  // Detached threads use it until the process ends.
  auto* const range = new Range(store, board, setup);
  range->Run();
}

}  // namespace lightning::faults
