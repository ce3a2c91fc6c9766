// YCSB A, B, C, D and F against the seqlock floor, and how both scale with processes.
#include <algorithm>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bench/measurements.h"
#include "bench/ycsb_worker.h"

namespace lightning::bench {
namespace {

// D comes last: it leaves some keys out.
constexpr Workload kWorkloads[] = {Workload::kA, Workload::kB, Workload::kC, Workload::kF, Workload::kD};

std::string RowName(Workload workload, uint32_t procs) {
  return std::string("ycsb_") + WorkloadLetter(workload) + "_" + std::to_string(procs);
}

class Ycsb {
 public:
  Ycsb(const Settings& settings, Report* report)
      : settings_(settings),
        report_(report),
        keys_(kKeys),
        floor_memory_(SeqlockTable::BytesFor(kKeys)),
        heads_memory_(sizeof(Heads)),
        name_("ycsb") {}

  void Measure();

 private:
  std::string Make();
  std::string Load(Workload workload, uint32_t procs);
  void MeasureWorkload(Workload workload, uint32_t procs);
  void MeasureTwo();
  void MeasureFour();
  GroupResult Run(const std::vector<Phase>& cycle, uint32_t procs, uint32_t cores);
  std::string SumStamps(uint64_t sums[kSides]);
  std::vector<Side> Sides() const;

  const Settings& settings_;
  Report* report_;
  const KeyTable keys_;
  const SharedArea floor_memory_, heads_memory_;
  const StoreName name_;
  YcsbWorld world_;
  std::optional<FloorSide> floor_;
  std::optional<StoreSide> store_;
  Counts total_[kSides];
  uint64_t lost_ = 0;
};

std::vector<Side> Ycsb::Sides() const {
  return settings_.floor_only ? std::vector<Side>{kFloor} : std::vector<Side>{kFloor, kStore};
}

// Both sides with every key in them. Their maker never measures.
std::string Ycsb::Make() {
  for (const SharedArea* area : {&floor_memory_, &heads_memory_}) {
    if (area->data() == nullptr) return area->error();
  }
  world_.keys = &keys_;
  world_.floor_memory = &floor_memory_;
  world_.floor.emplace(floor_memory_.data(), kKeys);
  world_.heads = new (heads_memory_.data()) Heads;
  world_.mode = settings_.mode;
  Value value;
  for (uint32_t i = 0; i < kKeys; ++i) {
    FillValue(value.words, MakeStamp(i, 0));
    world_.floor->Load(keys_[i], value.words);
  }
  floor_.emplace(*world_.floor, &keys_);
  if (settings_.floor_only) return {};
  world_.store_path = name_.path();
  Options options = SegmentFor(kKeys, kValueSize);
  options.prefault = true;
  const auto store = Store::Open(name_.path(), options);
  if (!store.ok()) return "open: " + store.status().ToString();
  auto client = store->Connect();
  if (!client.ok()) return "connect: " + client.status().ToString();
  store_.emplace(*std::move(client), &keys_);
  for (uint32_t i = 0; i < kKeys; ++i) {
    if (store_->Write(i, MakeStamp(i, 0)) != Outcome::kDone) return "load: " + store_->error();
  }
  return {};
}

// What a workload needs to find; only D leaves anything but all keys behind.
std::string Ycsb::Load(Workload workload, uint32_t procs) {
  if (workload != Workload::kD) return {};
  for (uint32_t proc = 0; proc < procs; ++proc) {
    for (const Side side : Sides()) world_.heads->head[side][proc].next.store(LiveSize(procs));
    for (uint32_t i = 0; i < RingSize(procs); ++i) {
      const uint32_t index = proc * RingSize(procs) + i;
      const bool live = i < LiveSize(procs);
      live ? floor_->Write(index, MakeStamp(index, 0)) : floor_->Erase(index);
      if (!store_) continue;
      const Outcome outcome = live ? store_->Write(index, MakeStamp(index, 0)) : store_->Erase(index);
      if (outcome == Outcome::kError) return store_->error();
    }
  }
  return {};
}

// One untimed cycle, then settings.rounds of them, each second one backwards, so that no side always comes first.
GroupResult Ycsb::Run(const std::vector<Phase>& cycle, uint32_t procs, uint32_t cores) {
  Group group;
  group.procs = procs;
  group.cores = cores;
  group.slice = settings_.slice;
  for (uint32_t round = 0; round <= settings_.rounds; ++round) {
    std::vector<Phase> phases = cycle;
    if (round % 2 == 1) std::reverse(phases.begin(), phases.end());
    group.phases.insert(group.phases.end(), phases.begin(), phases.end());
  }
  GroupResult result = RunGroup(group, [&](uint32_t proc) { return MakeYcsbWorker(world_, group.phases, proc); });
  for (size_t i = 0; i < result.counts.size(); ++i) {
    for (const Counts& c : result.counts[i]) {
      Counts& total = total_[group.phases[i].side];
      total.ops += c.ops;
      total.torn += c.torn;
      total.missed += c.missed;
      total.increments += c.increments;
    }
  }
  // Back into the order of `cycle`, and without the warm-up.
  for (uint32_t round = 1; round <= settings_.rounds; round += 2) {
    const auto begin = result.counts.begin() + static_cast<std::ptrdiff_t>(round * cycle.size());
    std::reverse(begin, begin + static_cast<std::ptrdiff_t>(cycle.size()));
  }
  result.counts.erase(result.counts.begin(), result.counts.begin() + static_cast<std::ptrdiff_t>(cycle.size()));
  return result;
}

// The sum of all stamps' lower parts on each side: read-modify-writes must raise it by exactly their number.
std::string Ycsb::SumStamps(uint64_t sums[kSides]) {
  for (uint32_t i = 0; i < kKeys; ++i) {
    uint64_t stamp = 0;
    if (floor_->Read(i, &stamp) != Outcome::kDone) return "a key of the floor is lost";
    sums[kFloor] += stamp & kStampMask;
    if (!store_) continue;
    if (store_->Read(i, &stamp) != Outcome::kDone) return "key " + std::string(keys_[i]) + " is lost";
    sums[kStore] += stamp & kStampMask;
  }
  return {};
}

void Ycsb::MeasureWorkload(Workload workload, uint32_t procs) {
  const std::string name = RowName(workload, procs);
  if (!settings_.MayWant(name)) return;
  std::string error = Load(workload, procs);
  uint64_t before[kSides] = {}, after[kSides] = {};
  if (error.empty() && workload == Workload::kF) error = SumStamps(before);
  std::vector<Phase> cycle;
  for (const Side side : Sides()) cycle.push_back({side, static_cast<uint32_t>(workload), procs});
  const Counts counted[kSides] = {total_[kFloor], total_[kStore]};
  GroupResult result;
  if (error.empty()) {
    result = Run(cycle, procs, 0);
    error = result.error;
  }
  if (error.empty() && workload == Workload::kF) error = SumStamps(after);
  if (!error.empty()) return report_->Fail(name, error);
  for (const Side side : Sides()) {
    const uint64_t gain = after[side] - before[side], done = total_[side].increments - counted[side].increments;
    if (gain == done) continue;
    const uint64_t off = gain > done ? gain - done : done - gain;
    if (side == kStore) lost_ += off;
    if (side == kFloor) report_->Violation("the floor lost " + std::to_string(off) + " updates");
  }
  std::vector<double> floor, store, ratio;
  for (size_t i = 0; i < result.counts.size(); i += cycle.size()) {
    floor.push_back(result.Rate(i));
    if (cycle.size() == 1) continue;
    store.push_back(result.Rate(i + 1));
    ratio.push_back(store.back() / floor.back());
  }
  if (!ratio.empty()) report_->Add(name, Median(ratio));
  if (!ratio.empty()) report_->Add(name + "_store", Median(store), {}, "ops/s");
  report_->Add(name + "_floor", Median(floor), {}, "ops/s");
}

// 1 to 2 processes on keys of their own, workload A's mix.
void Ycsb::MeasureTwo() {
  const auto work = static_cast<uint32_t>(Workload::kDisjoint);
  std::vector<Phase> cycle;
  for (const Side side : Sides()) cycle.insert(cycle.end(), {{side, work, 1}, {side, work, 2}});
  const GroupResult result = Run(cycle, 2, 0);
  if (!result.error.empty()) return report_->Fail("scale_2_over_floor", result.error);
  std::vector<double> floor, store, ratio;
  for (size_t i = 0; i < result.counts.size(); i += cycle.size()) {
    floor.push_back(result.Rate(i + 1) / result.Rate(i));
    if (cycle.size() == 2) continue;
    store.push_back(result.Rate(i + 3) / result.Rate(i + 2));
    ratio.push_back(store.back() / floor.back());
  }
  if (!ratio.empty()) {
    report_->Add("scale_2_over_floor", Median(ratio), Cores().size() < 2 ? "one core only" : "");
    report_->Add("scale_2_store", Median(store), "2 processes over 1", "ratio");
  }
  report_->Add("scale_2_floor", Median(floor), "2 processes over 1", "ratio");
}

// 4 processes over 2, on two cores.
void Ycsb::MeasureFour() {
  const auto work = static_cast<uint32_t>(Workload::kDisjoint);
  std::vector<Phase> cycle;
  for (const Side side : Sides()) cycle.insert(cycle.end(), {{side, work, 2}, {side, work, 4}});
  const GroupResult result = Run(cycle, 4, 2);
  if (!result.error.empty()) return report_->Fail("scale_4_over_2", result.error);
  std::vector<double> floor, store;
  for (size_t i = 0; i < result.counts.size(); i += cycle.size()) {
    floor.push_back(result.Rate(i + 1) / result.Rate(i));
    if (cycle.size() > 2) store.push_back(result.Rate(i + 3) / result.Rate(i + 2));
  }
  if (!store.empty()) report_->Add("scale_4_over_2", Median(store), "4 processes over 2, on 2 cores");
  report_->Add("scale_4_over_2_floor", Median(floor), {}, "ratio");
}

void Ycsb::Measure() {
  const std::string error = Make();
  if (!error.empty()) return report_->Fail("ycsb", error);
  if (settings_.MayWant("scale_2_")) MeasureTwo();
  if (settings_.MayWant("scale_4_over_2")) MeasureFour();
  for (const Workload workload : kWorkloads) {
    for (const uint32_t procs : {1u, 2u}) MeasureWorkload(workload, procs);
  }
  if (total_[kFloor].torn + total_[kFloor].missed > 0) report_->Violation("the floor itself was torn or missed a key");
  const Counts& total = total_[kStore];
  if (total.ops == 0) return;
  const std::string scope = "in " + std::to_string(total.ops) + " operations";
  report_->Add("ycsb_torn", static_cast<double>(total.torn), scope);
  report_->Add("ycsb_missed", static_cast<double>(total.missed), scope);
  report_->Add("ycsb_lost", static_cast<double>(lost_),
               "of " + std::to_string(total.increments) + " read-modify-writes");
  if (total.torn + total.missed + lost_ > 0) report_->Violation("YCSB saw torn values, false misses or lost updates");
}

}  // namespace

void MeasureYcsb(const Settings& settings, Report* report) {
  if (settings.MayWant("ycsb_") || settings.MayWant("scale_")) Ycsb(settings, report).Measure();
}

}  // namespace lightning::bench
