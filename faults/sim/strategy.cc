#include "faults/sim/strategy.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "store/segment/segment.h"

namespace lightning::faults {
namespace {

bool Has(uint64_t set, uint32_t client) { return (set >> client & 1) != 0; }

// The first of the set after `client`, in a circle.
uint32_t After(uint64_t set, uint32_t client) {
  LIGHTNING_ASSERT(set != 0);
  const uint64_t later = client >= 63 ? 0 : set >> (client + 1) << (client + 1);
  return static_cast<uint32_t>(std::countr_zero(later != 0 ? later : set));
}

class Sequential final : public Strategy {
 public:
  void Begin() override {}
  Turn Next(const Situation& situation) override { return {DefaultNext(situation), Turn::kUntilItWaits, 0}; }
  bool End(uint64_t, const std::vector<ScheduleStep>&) override { return false; }
};

class Replay final : public Strategy {
 public:
  explicit Replay(const std::vector<ScheduleStep>& steps) : steps_(steps) {}
  void Begin() override { at_ = 0; }
  Turn Next(const Situation& situation) override {
    while (at_ < steps_.size()) {
      const ScheduleStep& step = steps_[at_++];
      if (!Has(situation.ready | situation.waiting, step.client)) continue;
      return {step.client, step.points, step.held};
    }
    return {DefaultNext(situation), Turn::kUntilItWaits, 0};
  }
  bool End(uint64_t, const std::vector<ScheduleStep>&) override { return false; }

 private:
  const std::vector<ScheduleStep>& steps_;
  size_t at_ = 0;
};

class RandomWalk final : public Strategy {
 public:
  RandomWalk(uint32_t percent, bool buffers, uint64_t seed)
      : percent_(std::max(1u, percent)), buffers_(buffers), random_(seed) {
    for (size_t step = kExact; step < lengths_.size(); ++step)
      lengths_[step] = LengthAt((static_cast<double>(step) + 0.5) / static_cast<double>(lengths_.size()));
  }
  void Begin() override {}
  Turn Next(const Situation& situation) override {
    Turn turn;
    const uint64_t others = situation.ready & ~(uint64_t{1} << situation.current);
    // One that waits is asked now and then too: it may see something half done.
    uint64_t from = others != 0 ? others : situation.ready;
    if (from == 0 || random_.Percent(5)) from |= situation.waiting;
    turn.client = From(from);
    turn.points = Length();
    if (buffers_ && situation.buffered != 0) turn.held = static_cast<uint32_t>(random_.Below(situation.buffered + 1));
    return turn;
  }
  bool End(uint64_t, const std::vector<ScheduleStep>&) override { return true; }

 private:
  // Of a run of points none of which is a switch: geometric, by inversion.
  uint64_t Length() {
    const uint64_t bits = random_.Next() >> 11;
    const uint64_t step = bits >> (53 - kStepBits);
    // The longest ones lie close together in u.
    return step < kExact ? LengthAt(static_cast<double>(bits + 1) * 0x1p-53) : lengths_[step];
  }
  uint64_t LengthAt(double u) const {
    if (percent_ >= 100) return 1;
    return 1 + static_cast<uint64_t>(std::min(10'000.0, std::log(u) / std::log(1 - percent_ / 100.0)));
  }
  uint32_t From(uint64_t set) {
    uint64_t skip = random_.Below(static_cast<uint64_t>(std::popcount(set)));
    for (; skip != 0; --skip) set &= set - 1;
    return static_cast<uint32_t>(std::countr_zero(set));
  }
  static constexpr unsigned kStepBits = 10;
  static constexpr size_t kExact = 8;
  const uint32_t percent_;
  std::array<uint64_t, size_t{1} << kStepBits> lengths_{};  // by the first bits of u: a logarithm a turn is dear
  const bool buffers_;
  Random random_;
};

// Burckhardt, Kothari, Musuvathi, Nagarakatte: A Randomized Scheduler with Probabilistic Guarantees of Finding Bugs
// (ASPLOS 2010). Priorities by chance; the highest that is ready runs; at depth - 1 points chosen by chance the one
// that runs falls below all others. One that waits for others falls too, or it would wait for ever.
class Pct final : public Strategy {
 public:
  Pct(uint32_t depth, uint32_t clients, bool buffers, uint64_t seed)
      : depth_(std::max(1u, depth)), priorities_(clients), buffers_(buffers), random_(seed) {}
  void Begin() override {
    for (size_t i = 0; i < priorities_.size(); ++i) priorities_[i] = static_cast<int64_t>(i) + 1;
    for (size_t i = priorities_.size(); i > 1; --i) std::swap(priorities_[i - 1], priorities_[random_.Below(i)]);
    lowest_ = 0;
    changes_.clear();
    for (uint32_t i = 1; i < depth_; ++i) changes_.push_back(1 + random_.Below(length_));
    std::sort(changes_.begin(), changes_.end());
    next_ = 0;
  }
  Turn Next(const Situation& situation) override {
    const bool change = next_ < changes_.size() && situation.points >= changes_[next_];
    if (change || !situation.current_ready) priorities_[situation.current] = --lowest_;
    while (next_ < changes_.size() && situation.points >= changes_[next_]) ++next_;
    const uint64_t from = situation.ready != 0 ? situation.ready : situation.waiting;
    Turn turn;
    int64_t best = INT64_MIN;
    for (uint32_t i = 0; i < priorities_.size(); ++i) {
      if (!Has(from, i) || priorities_[i] <= best) continue;
      best = priorities_[i];
      turn.client = i;
    }
    if (next_ < changes_.size()) turn.points = changes_[next_] - situation.points;
    if (buffers_ && situation.buffered != 0) turn.held = static_cast<uint32_t>(random_.Below(situation.buffered + 1));
    return turn;
  }
  bool End(uint64_t points, const std::vector<ScheduleStep>&) override {
    length_ = std::max<uint64_t>(1, points);
    return true;
  }

 private:
  const uint32_t depth_;
  std::vector<int64_t> priorities_;
  const bool buffers_;
  Random random_;
  int64_t lowest_ = 0;
  uint64_t length_ = 200;  // points of a run, as the last one had
  std::vector<uint64_t> changes_;
  size_t next_ = 0;
};

// Every schedule that differs from the default in at most `bound` places: there somebody else goes on instead, and the
// stores of the one that was current are all seen, or none of them (delay bounding: Emmi, Qadeer, Rakamaric, POPL
// 2011).
class Exhaustive final : public Strategy {
 public:
  Exhaustive(uint32_t bound, uint32_t clients, bool buffers) : bound_(bound), clients_(clients), buffers_(buffers) {
    open_.push_back({});
  }
  void Begin() override {
    now_ = open_.back();
    open_.pop_back();
    next_ = 0;
  }
  Turn Next(const Situation& situation) override {
    Turn turn{DefaultNext(situation), Turn::kUntilItWaits, 0};
    if (next_ < now_.size() && situation.points >= now_[next_].point) {
      const Deviation& deviation = now_[next_++];
      if (Has(situation.ready | situation.waiting, deviation.client)) {
        turn.client = deviation.client;
        turn.held = deviation.keep ? situation.buffered : 0;
      }
    }
    if (next_ < now_.size()) turn.points = std::max<uint64_t>(1, now_[next_].point - situation.points);
    return turn;
  }
  bool End(uint64_t points, const std::vector<ScheduleStep>& turns) override {
    if (now_.size() < bound_) {
      const uint64_t first = now_.empty() ? 0 : now_.back().point + 1;
      uint64_t begin = 0;
      for (const ScheduleStep& turn : turns) {
        for (uint64_t point = std::max(first, begin == 0 ? 0 : begin + 1);
             point <= begin + turn.points && point < points; ++point)
          Branch(point, turn.client);
        begin += turn.points;
      }
    }
    return !open_.empty();
  }

 private:
  struct Deviation {
    uint64_t point;
    uint32_t client;
    bool keep;
  };
  void Branch(uint64_t point, uint32_t current) {
    for (uint32_t client = 0; client < clients_; ++client) {
      if (client == current) continue;
      for (const bool keep : {false, true}) {
        if (keep && !buffers_) continue;
        open_.push_back(now_);
        open_.back().push_back({point, client, keep});
      }
    }
  }
  const uint32_t bound_, clients_;
  const bool buffers_;
  std::vector<std::vector<Deviation>> open_;
  std::vector<Deviation> now_;
  size_t next_ = 0;
};

}  // namespace

uint32_t DefaultNext(const Situation& situation) {
  if (situation.current_ready && Has(situation.ready, situation.current)) return situation.current;
  return After(situation.ready != 0 ? situation.ready : situation.waiting, situation.current);
}

std::unique_ptr<Strategy> MakeStrategy(const Schedule& schedule, uint32_t clients, uint64_t seed) {
  const bool buffers = schedule.memory == Memory::kTso && schedule.buffer != 0;
  switch (schedule.strategy) {
    case Schedule::kSequential:
      return std::make_unique<Sequential>();
    case Schedule::kReplay:
      return std::make_unique<Replay>(schedule.steps);
    case Schedule::kRandom:
      return std::make_unique<RandomWalk>(schedule.percent, buffers, seed);
    case Schedule::kPct:
      return std::make_unique<Pct>(schedule.bound, clients, buffers, seed);
    case Schedule::kExhaustive:
      return std::make_unique<Exhaustive>(schedule.bound, clients, buffers);
  }
  return std::make_unique<Sequential>();
}

}  // namespace lightning::faults
