#include "bench/ycsb_worker.h"

#include <map>
#include <utility>

namespace lightning::bench {
namespace {

constexpr uint32_t kOpsPerLook = 128;  // at the clock

class YcsbWorker : public Worker {
 public:
  YcsbWorker(const YcsbWorld& world, std::vector<Phase> phases, uint32_t proc)
      : world_(world), phases_(std::move(phases)), proc_(proc) {}

  std::string Prepare() override {
    for (const Phase& phase : phases_) {
      auto& sequence = sequences_[{phase.workload, phase.procs}];
      if (sequence.empty() && proc_ < phase.procs) {
        sequence = MakeSequence(static_cast<Workload>(phase.workload), proc_, phase.procs, phase.workload + 1);
      }
    }
    world_.floor_memory->Populate();
    floor_.emplace(*world_.floor, world_.keys);
    if (world_.store_path.empty()) return {};
    const auto store = Store::Open(world_.store_path, Attach(world_.mode, true));
    if (!store.ok()) return "open: " + store.status().ToString();
    auto client = store->Connect();
    if (!client.ok()) return "connect: " + client.status().ToString();
    store_.emplace(*std::move(client), world_.keys);
    return {};
  }

  std::string Run(const Phase& phase, uint64_t deadline, Counts* counts) override {
    if (phase.side == kFloor) return RunSide(&*floor_, phase, deadline, counts);
    return RunSide(&*store_, phase, deadline, counts);
  }

 private:
  template <typename S>
  std::string RunSide(S* side, const Phase& phase, uint64_t deadline, Counts* counts) {
    switch (static_cast<Workload>(phase.workload)) {
      case Workload::kD:
        return RunLatest(side, phase, deadline, counts);
      case Workload::kF:
        return RunMixed<true>(side, phase, deadline, counts);
      default:
        return RunMixed<false>(side, phase, deadline, counts);
    }
  }

  // A, B, C, F: every key is always there.
  template <bool kIncrement, typename S>
  std::string RunMixed(S* side, const Phase& phase, uint64_t deadline, Counts* counts) {
    const Op* const sequence = sequences_[{phase.workload, phase.procs}].data();
    size_t position = position_[phase.side];
    Counts local;
    uint64_t stamp = 0;
    do {
      for (uint32_t i = 0; i < kOpsPerLook; ++i) {
        const Op op = sequence[position];
        position = (position + 1) % kSequenceSize;
        Outcome outcome;
        if (op.write == 0) {
          outcome = side->Read(op.key, &stamp);
        } else if constexpr (kIncrement) {
          outcome = side->Increment(op.key);
          local.increments += outcome == Outcome::kDone ? 1 : 0;
        } else {
          outcome = side->Write(op.key, NextStamp(op.key));
        }
        if (outcome != Outcome::kDone && !Count(outcome, &local)) return side->error();
      }
      local.ops += kOpsPerLook;
    } while (NowNs() < deadline);
    position_[phase.side] = position;
    *counts = local;
    return {};
  }

  // D: reads of what was inserted lately, by any process; an insert is followed by the removal of the oldest key.
  template <typename S>
  std::string RunLatest(S* side, const Phase& phase, uint64_t deadline, Counts* counts) {
    const Op* const sequence = sequences_[{phase.workload, phase.procs}].data();
    Heads::Head* const heads = world_.heads->head[phase.side];
    const uint32_t ring = RingSize(phase.procs), live = LiveSize(phase.procs);
    const auto index = [ring](uint32_t owner, uint64_t number) {
      return owner * ring + static_cast<uint32_t>(number) % ring;
    };
    size_t position = position_[phase.side];
    Counts local;
    uint64_t stamp = 0;
    do {
      for (uint32_t i = 0; i < kOpsPerLook; ++i) {
        const Op op = sequence[position];
        position = (position + 1) % kSequenceSize;
        if (op.write == 0) {
          const uint64_t number = heads[op.owner].next.load(std::memory_order_acquire) - 1 - op.key;
          const Outcome outcome = side->Read(index(op.owner, number), &stamp);
          // Its owner may have removed it meanwhile; then it is no miss.
          const bool gone = outcome == Outcome::kMissing && heads[op.owner].next.load() > number + live;
          if (outcome != Outcome::kDone && !gone && !Count(outcome, &local)) return side->error();
        } else {
          const uint64_t number = heads[proc_].next.load(std::memory_order_relaxed);
          const uint32_t key = index(proc_, number);
          Outcome outcome = side->Write(key, NextStamp(key));
          heads[proc_].next.store(number + 1, std::memory_order_release);
          if (outcome == Outcome::kDone) outcome = side->Erase(index(proc_, number - live));
          if (outcome != Outcome::kDone && !Count(outcome, &local)) return side->error();
        }
      }
      local.ops += kOpsPerLook;
    } while (NowNs() < deadline);
    position_[phase.side] = position;
    *counts = local;
    return {};
  }

  uint64_t NextStamp(uint32_t index) { return MakeStamp(index, uint64_t{proc_} << 36 | ++writes_); }

  // False on an error of the store.
  static bool Count(Outcome outcome, Counts* counts) {
    counts->missed += outcome == Outcome::kMissing ? 1 : 0;
    counts->torn += outcome == Outcome::kTorn ? 1 : 0;
    return outcome != Outcome::kError;
  }

  const YcsbWorld& world_;
  const std::vector<Phase> phases_;
  const uint32_t proc_;
  std::map<std::pair<uint32_t, uint32_t>, std::vector<Op>> sequences_;  // by workload and processes
  size_t position_[kSides] = {};
  uint64_t writes_ = 0;
  std::optional<FloorSide> floor_;
  std::optional<StoreSide> store_;
};

}  // namespace

std::unique_ptr<Worker> MakeYcsbWorker(const YcsbWorld& world, const std::vector<Phase>& phases, uint32_t proc) {
  return std::make_unique<YcsbWorker>(world, phases, proc);
}

}  // namespace lightning::bench
