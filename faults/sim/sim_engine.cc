#include "faults/sim/sim_engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "faults/check/guarded.h"
#include "faults/model/random.h"
#include "faults/plan/expand.h"
#include "faults/report/progress.h"

namespace lightning::faults {
namespace {

constexpr unsigned kRunPatience = 60;  // seconds; a run takes milliseconds
// Schedules of a plan that follows from the seed; one that is given is tried for as long as there is time.
constexpr uint64_t kSchedulesWithCrashStates = 5, kSchedules = 100;
// Of so many plans the middle one has its crash states looked at, and the other kinds take turns: about half of the
// time each. Counted, not timed, so that a number of schedules is the same plans on every machine.
constexpr uint64_t kRound = 41;

double Seconds() { return std::chrono::duration<double>(Clock::now().time_since_epoch()).count(); }

}  // namespace

std::string KindOf(const std::string& what) {
  std::string kind;
  bool quoted = false;
  for (const char c : what) {
    if (c == '"') quoted = !quoted;
    if (quoted || c == '"' || std::isdigit(static_cast<unsigned char>(c)) != 0) continue;
    kind += c;
  }
  return kind;
}

double SimFigures::operations_per_second() const {
  const auto plain = static_cast<size_t>(RunKind::kInterleavingsWithoutKills);
  if (kind_seconds[plain] > 0) return static_cast<double>(kind_operations[plain]) / kind_seconds[plain];
  return seconds > 0 ? static_cast<double>(counts.operations) / seconds : 0;
}

double SimFigures::crash_states_per_second() const {
  const double looking = kind_seconds[static_cast<size_t>(RunKind::kCrashStates)];
  return looking > 0 ? static_cast<double>(counts.crash_states + crashes.states) / looking : 0;
}

bool SimEngine::Over() const {
  if (!failures_.empty()) return true;
  if (options_.schedules != 0 && figures_.schedules >= options_.schedules) return true;
  return Seconds() - began_ >= options_.seconds;
}

RunKind SimEngine::KindOfRun(uint64_t number) const {
  const bool kills = options_.plan ? !options_.plan->kills.empty() : options_.kills;
  if (options_.crash_states && (options_.plan || number % kRound == kRound / 2)) return RunKind::kCrashStates;
  return kills && (options_.plan || number % 2 == 0) ? RunKind::kInterleavings : RunKind::kInterleavingsWithoutKills;
}

Plan SimEngine::NextPlan(uint64_t number) const {
  const uint64_t seed = MixSeeds(options_.seed, number);
  Random random(MixSeeds(seed, 5));
  PlanShape shape;
  shape.engine = Engine::kSim;
  shape.clients = static_cast<uint32_t>(random.Between(2, 4));
  shape.operations = options_.operations != 0 ? options_.operations : static_cast<uint32_t>(random.Between(1, 6));
  shape.keys = static_cast<uint32_t>(random.Between(1, 4));
  const bool kills = options_.kills && KindOfRun(number) != RunKind::kInterleavingsWithoutKills;
  shape.kills = kills ? static_cast<uint32_t>(random.Below(3)) : 0;
  shape.stops = kills && random.Percent(20) ? 1 : 0;
  shape.killed_recoverers = shape.kills != 0 && random.Percent(30) ? 1 : 0;
  shape.eviction = random.Percent(10);
  shape.events = random.Percent(25);
  shape.swarm = random.Percent(60);
  Plan plan = ExpandPlan(seed, shape);
  Schedule& schedule = plan.schedule;
  schedule = Schedule{};
  schedule.memory = options_.memory;
  schedule.buffer = static_cast<uint32_t>(random.Percent(50) ? random.Between(1, 8) : random.Between(9, 60));
  const uint64_t kind = random.Below(10);
  if (kind < 5) {
    schedule.strategy = Schedule::kPct;
    schedule.bound = static_cast<uint32_t>(random.Between(1, 5));
  } else if (kind < 9) {
    schedule.strategy = Schedule::kRandom;
    schedule.percent = static_cast<uint32_t>(random.Between(1, 40));
  } else {
    schedule.strategy = Schedule::kExhaustive;
    schedule.bound = 1;
  }
  return plan;
}

std::string SimEngine::RunOnce(Simulation& sim, Strategy& strategy, CrashJudge* judge, bool* died) {
  *died = true;
  std::string error = Guarded(kRunPatience, [&] {
    std::string what = sim.Run(strategy, judge);
    *died = false;
    return what;
  });
  if (*died) {
    SetSharedMemoryHooks(nullptr, nullptr);
    SetCurrentAllocations(nullptr);
  }
  return error;
}

void SimEngine::Note(const Plan& plan, const Simulation& sim, RunKind kind, const std::string& what) {
  SimFailure failure;
  failure.what = what;
  failure.kind = KindOf(what);
  failure.plan = plan;
  failure.crash_states = kind == RunKind::kCrashStates;
  failure.plan.schedule.strategy = Schedule::kReplay;
  failure.plan.schedule.steps = sim.TurnsSoFar();
  failures_.push_back(std::move(failure));
  if (options_.evidence != nullptr) options_.evidence->Take(plan, sim.image().segment());
}

void SimEngine::NoteStored(Simulation& sim) {
  const Segment& segment = sim.memory().segment();
  const std::vector<uint8_t>& stored = sim.stored();
  const auto end = stored.begin() + static_cast<std::ptrdiff_t>(segment.geometry().doorbells / 8);
  for (auto at = std::find(stored.begin(), end, 1); at != end; at = std::find(at + 1, end, 1))
    stored_.insert(*PlaceOf(segment, static_cast<uint64_t>(at - stored.begin()) * 8));
}

void SimEngine::RunPlan(const Plan& plan, uint64_t number) {
  ++figures_.plans;
  const RunKind kind = KindOfRun(number);
  const double began = Seconds();
  auto sim = std::make_unique<Simulation>(plan);
  if (options_.evidence != nullptr) sim->set_log(&options_.evidence->accesses);
  CrashJudge judge(options_.depth, options_.nested_share);
  const auto strategy =
      MakeStrategy(plan.schedule, static_cast<uint32_t>(plan.clients.size()), MixSeeds(plan.seed, number));
  uint64_t most = kind == RunKind::kCrashStates && plan.schedule.strategy != Schedule::kExhaustive
                      ? kSchedulesWithCrashStates
                      : kSchedules;
  if (options_.plan) most = ~uint64_t{0};
  bool more = true;
  for (uint64_t i = 0; i < most && more && !Over(); ++i) {
    bool died = false;
    CrashJudge* const observer = kind == RunKind::kCrashStates ? &judge : nullptr;
    std::string error = RunOnce(*sim, *strategy, observer, &died);
    ++figures_.schedules;
    if (error.empty() && options_.twice) {
      const uint64_t trace = sim->trace();
      Schedule same = plan.schedule;
      same.strategy = Schedule::kReplay;
      same.steps = sim->turns();
      const auto again = MakeStrategy(same, static_cast<uint32_t>(plan.clients.size()), 0);
      const std::vector<ScheduleStep> turns = sim->turns();
      error = RunOnce(*sim, *again, nullptr, &died);
      if (error.empty() && sim->trace() != trace)
        error = "the harness is not deterministic: a run did not repeat itself";
      if (!died) more = strategy->End(sim->points(), turns);
    } else if (!died) {
      more = strategy->End(sim->points(), sim->turns());
    }
    if (!error.empty()) Note(plan, *sim, kind, error);
    // After an assertion its clients are somewhere in the middle.
    if (died) static_cast<void>(sim.release());
    if (died) break;
  }
  if (sim != nullptr) NoteStored(*sim);
  const CrashCounts& crashes = judge.counts();
  figures_.crashes.states += crashes.states;
  figures_.crashes.distinct += crashes.distinct;
  figures_.crashes.seconds += crashes.seconds;
  for (size_t i = 0; i < std::size(crashes.by_depth); ++i) figures_.crashes.by_depth[i] += crashes.by_depth[i];
  if (sim != nullptr) AddCounts(*sim, kind);
  figures_.kind_seconds[static_cast<size_t>(kind)] += Seconds() - began;
}

void SimEngine::AddCounts(const Simulation& sim, RunKind kind) {
  const SimCounts& counts = sim.counts();
  figures_.kind_operations[static_cast<size_t>(kind)] += counts.operations;
  figures_.counts.operations += counts.operations;
  figures_.counts.points += counts.points;
  figures_.counts.turns += counts.turns;
  figures_.counts.crash_states += counts.crash_states;
  figures_.counts.kills += counts.kills;
  figures_.counts.stores += counts.stores;
}

void SimEngine::Run() {
  Progress progress("sim  ", options_.quiet);
  began_ = Seconds();
  deadline_ = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                 std::chrono::duration<double>(std::min(options_.seconds, 1e8)));
  if (options_.plan) {
    RunPlan(*options_.plan, 0);
  } else {
    for (uint64_t number = 1; !Over(); ++number) {
      RunPlan(NextPlan(number), number);
      if (!progress.Due()) continue;
      progress.Show(fmt::format("{} plans, {} schedules, {} operations, {} crash states, {} judged", figures_.plans,
                                figures_.schedules, figures_.counts.operations, figures_.counts.crash_states,
                                figures_.crashes.distinct));
    }
  }
  figures_.seconds = Seconds() - began_;
}

}  // namespace lightning::faults
