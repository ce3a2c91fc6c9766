#include "faults/sim/simulation.h"

#include <algorithm>
#include <cstring>

#include "faults/plan/plan_segment.h"
#include "store/client/core.h"

namespace lightning::faults {
namespace {

constexpr Nanoseconds kMicrosecond{1000};
// Points of a run, far more than any plan takes: clients that wait for each other for ever.
constexpr uint64_t kTooMany = 3'000'000;

}  // namespace

// The world as the clients of one simulation see it.
class Simulation::SimKernel final : public Kernel {
 public:
  SimKernel(Simulation& sim, Runner& runner, uint64_t pid) : sim_(sim), runner_(runner), pid_(pid) {}

  Status Announce(uint32_t slot) override {
    sim_.DrainCurrent();
    runner_.slot = static_cast<int>(slot);
    sim_.WakePollers();
    return {};
  }
  void Retract(uint32_t) override {
    runner_.slot = -1;
    sim_.WakePollers();
  }
  Status BeginAttach(Nanoseconds limit) override {
    const Nanoseconds deadline = DeadlineAfter(Now(), limit);
    while (sim_.attacher_ != nullptr && sim_.attacher_ != &runner_) {
      if (Now() >= deadline) return Status(Code::kTimeout, "another client attaches and does not move");
      Pause(kMicrosecond);
    }
    sim_.attacher_ = &runner_;
    return {};
  }
  void EndAttach() override {
    if (sim_.attacher_ != &runner_) return;
    sim_.attacher_ = nullptr;
    sim_.WakePollers();
  }
  ClientIdentity Self() override { return {.pid = pid_, .start_time = 1, .namespaces = 1, .boot = 1}; }
  bool IsAlive(uint32_t slot, const ClientIdentity* identity) override {
    if (slot == kAttacher) return sim_.attacher_ != nullptr;
    for (const auto& runner : sim_.runners_) {
      const bool it = identity != nullptr ? runner->pid == identity->pid : runner->slot == static_cast<int>(slot);
      if (it && runner->life != Life::kDead) return true;
    }
    return false;
  }
  Nanoseconds Now() override { return sim_.now_ += kMicrosecond; }
  void Pause(Nanoseconds pause) override { Sleep(pause, nullptr); }
  void Wait(const Atomic<uint32_t>& word, uint32_t expected, Nanoseconds limit) override {
    sim_.DrainCurrent();
    if (word.load() == expected) Sleep(limit, &word);
  }
  void WakeAll(const Atomic<uint32_t>& word) override {
    sim_.DrainCurrent();
    for (const auto& runner : sim_.runners_) {
      if (runner->life == Life::kWaiting && runner->word == &word) runner->life = Life::kReady;
    }
  }
  bool IsSameProcess() const override { return true; }

 private:
  void Sleep(Nanoseconds pause, const void* word) {
    const Nanoseconds wake = DeadlineAfter(sim_.now_, std::max(pause, kMicrosecond));
    if (sim_.scheduled_) {
      sim_.DrainCurrent();
      // Nothing waits for ever in a store buffer.
      for (const auto& runner : sim_.runners_) {
        if (runner->life == Life::kDone) sim_.Drain(*runner);
      }
      runner_.life = Life::kWaiting;
      runner_.word = word;
      const bool polls = word == nullptr;
      sim_.pollers_ += polls;
      sim_.Suspend();
      sim_.pollers_ -= polls;
      runner_.word = nullptr;
      runner_.polled = 0;
    }
    sim_.now_ = std::max(sim_.now_, wake);
  }

  Simulation& sim_;
  Runner& runner_;
  const uint64_t pid_;
};

Simulation::Simulation(const Plan& plan)
    : plan_(plan),
      options_(*SegmentOptions(plan.segment)),
      buffers_(plan.schedule.memory == Memory::kTso && plan.schedule.buffer != 0),
      catalogue_(plan),
      record_(catalogue_),
      memory_(options_),
      words_(memory_.segment(), plan.segment.eviction != Eviction::kNone),
      fresh_(memory_.data(), memory_.data() + memory_.segment().geometry().size),
      dirty_(memory_.segment().geometry().size),
      image_(memory_.segment().geometry(), words_, fresh_.data()),
      stored_(memory_.segment().geometry().size / 8) {
  for (const PlanClient& client : plan.clients) AddRunner(client.name);
  for (const PlanRecoverer& recoverer : plan.recoverers) {
    if (FindRunner(recoverer.client) == nullptr) AddRunner(recoverer.client);
  }
  AddRunner("judge");
  turns_.reserve(1024);
}

void Simulation::PlanChanged() {
  catalogue_.Read(plan_);
  record_.CatalogueChanged();
}

Simulation::~Simulation() {
  SetSharedMemoryHooks(nullptr, nullptr);
  for (const auto& runner : runners_) Reset(*runner);
}

void Simulation::AddRunner(const std::string& name) {
  runners_.push_back(std::make_unique<Runner>(name, plan_.schedule.buffer));
}

Simulation::Runner* Simulation::FindRunner(const std::string& name) {
  for (const auto& runner : runners_) {
    if (runner->name == name) return runner.get();
  }
  return nullptr;
}

// What it had goes, without any destructor: the segment that those would touch is about to be made anew.
void Simulation::Reset(Runner& runner) {
  runner.actor = nullptr;
  runner.memory.release();
  runner.allocations.FreeAll();
  runner.life = Life::kReady;
  runner.slot = -1;
  runner.pid = ++pids_;
  runner.word = nullptr;
  runner.polled = 0;
  runner.buffer.Clear();
  runner.payload_size = 0;
  runner.triggers.clear();
  Watch(runner);
  runner.stopped_until = 0;
  std::fill(std::begin(runner.counts), std::end(runner.counts), 0);
}

void Simulation::MakeActor(uint32_t number) {
  Runner& runner = *runners_[number];
  runner.actor =
      new (runner.memory.allocate(sizeof(Actor), alignof(Actor))) Actor(number, *this, record_, &runner.memory);
}

void Simulation::Fail(std::string what) {
  const AllocationScope scope(nullptr);
  if (error_.empty()) error_ = std::string(what.data(), what.size());
  budget_ = 0;
}

Result<Client> Simulation::Attach(uint32_t number) {
  ClientParts parts;
  parts.gate = Gate::OverMemory(memory_.data(), memory_.segment().geometry().size);
  parts.kernel = std::make_unique<SimKernel>(*this, *runners_[number], runners_[number]->pid);
  parts.geometry = memory_.segment().geometry();
  parts.path = "memory";
  parts.lock_timeout = PatienceMayEnd() ? Nanoseconds(2'000'000) : Nanoseconds(2'000'000'000);
  return ClientCore::AttachClient(std::move(parts));
}

std::optional<uint64_t> Simulation::OthersAtRest(uint32_t client) const {
  uint64_t sum = 0;
  for (uint32_t number = 0; number < plan_.clients.size(); ++number) {
    const Runner& runner = *runners_[number];
    if (number == client || runner.actor == nullptr) continue;
    const bool dead = runner.life == Life::kDead;
    if (!dead && runner.actor->steps() % 2 != 0) return std::nullopt;
    sum += dead ? uint64_t{1} << 40 : runner.actor->steps();
  }
  return sum;
}

void Simulation::Suspend() { current_->fiber->Suspend(); }

void Simulation::Kill(Runner& runner) {
  // What had retired arrives; nothing else ever does.
  Drain(runner);
  runner.life = Life::kDead;
  if (attacher_ == &runner) attacher_ = nullptr;
  for (uint32_t number = 0; number < plan_.clients.size(); ++number) {
    if (runners_[number].get() == &runner) record_.ReleaseAll(number, clock_);
  }
  died_ = true;
  ++counts_.kills;
  WakePollers();
}

void Simulation::WakePollers() {
  for (const auto& runner : runners_) {
    if (runner->life == Life::kWaiting && runner->word == nullptr) runner->life = Life::kReady;
  }
}

void Simulation::DrainCurrent() {
  if (scheduled_) Drain(*current_);
}

void Simulation::Begin() {
  SetSharedMemoryHooks(nullptr, nullptr);
  for (const auto& runner : runners_) Reset(*runner);
  pids_ = 0;
  for (const auto& runner : runners_) runner->pid = ++pids_;
  dirty_.Copy(fresh_.data(), memory_.data());
  dirty_.Clear();
  record_.Clear();
  if (plan_.segment.eviction != Eviction::kNone) record_.KeysMayVanish();
  error_.clear();
  turns_.clear();
  current_ = nullptr;
  current_number_ = 0;
  attacher_ = nullptr;
  pollers_ = 0;
  observer_ = nullptr;
  scheduled_ = imaged_ = crash_pending_ = died_ = in_turn_ = false;
  points_ = clock_ = ticks_ = trace_ = 0;
  now_ = Nanoseconds(1);
}

std::string Simulation::Before() {
  const PlanOperation attach{.action = Action::kAttach, .items = {}, .amount = 0};
  for (uint32_t number = 0; number < plan_.clients.size(); ++number) {
    Runner& runner = *runners_[number];
    const AllocationScope scope(&runner.allocations);
    MakeActor(number);
    // Unless that is what it does first.
    const std::vector<PlanOperation>& operations = plan_.clients[number].operations;
    if (!operations.empty() && operations[0].action == Action::kAttach) continue;
    runner.actor->Do(attach);
    if (!runner.actor->attached()) return "client " + runner.name + " could not attach";
    for (const PlanOperation& operation : plan_.clients[number].before) runner.actor->Do(operation);
  }
  for (const PlanKill& kill : plan_.kills) AddTrigger(kill.client, {kill.at, Trigger::kKill, 0});
  for (const PlanStop& stop : plan_.stops) AddTrigger(stop.client, {stop.at, Trigger::kStop, stop.points});
  return "";
}

void Simulation::AddTrigger(const std::string& client, const Trigger& trigger) {
  Runner* const runner = FindRunner(client);
  if (runner == nullptr) return;
  runner->triggers.push_back(trigger);
  Watch(*runner);
}

Situation Simulation::Look() {
  Situation situation;
  situation.current = current_number_;
  situation.points = points_;
  uint64_t stopped = 0;
  for (uint32_t i = 0; i < movers_; ++i) {
    Runner& runner = *runners_[i];
    const uint64_t bit = uint64_t{1} << i;
    if (runner.life == Life::kStopped && points_ >= runner.stopped_until) runner.life = Life::kReady;
    if (runner.life == Life::kReady) situation.ready |= bit;
    if (runner.life == Life::kWaiting) situation.waiting |= bit;
    if (runner.life == Life::kStopped) stopped |= bit;
  }
  // Those who are stopped until the others are done, or for longer than anything moves.
  if ((situation.ready | situation.waiting) == 0) situation.ready = stopped;
  situation.current_ready = (situation.ready >> current_number_ & 1) != 0;
  if (current_ != nullptr) situation.buffered = static_cast<uint32_t>(current_->buffer.size());
  return situation;
}

void Simulation::RunTurn(const Turn& turn) {
  if (current_ != nullptr && turn.client != current_number_) Drain(*current_, turn.held);
  Runner& runner = *runners_[turn.client];
  current_ = &runner;
  current_number_ = turn.client;
  runner.life = Life::kReady;
  if (points_ >= kTooMany) return Fail("the clients wait for each other for ever");
  budget_ = std::min(turn.points, kTooMany - points_);
  const uint64_t begin = points_;
  turn_ = turn;
  turn_began_ = begin;
  in_turn_ = true;
  do {
    crash_pending_ = false;
    SetCurrentAllocations(&runner.allocations);
    runner.fiber->Resume();
    SetCurrentAllocations(nullptr);
    if (crash_pending_) ShowCrash();
  } while (crash_pending_ && error_.empty() && runner.life == Life::kReady && !runner.fiber->done());
  crash_pending_ = false;
  if (runner.fiber->done()) {
    if (runner.payload_size != 0 && imaged_)
      image_.WriteBytes(runner.payload, memory_.data() + runner.payload, runner.payload_size);
    runner.payload_size = 0;
    Watch(runner);
    runner.life = Life::kDone;  // its last stores may still be on their way
  }
  in_turn_ = false;
  turns_.push_back({turn.client, points_ - begin, turn.held});
  ++counts_.turns;
}

void Simulation::MoveAll(Strategy& strategy) {
  movers_ = static_cast<uint32_t>(plan_.clients.size());
  for (uint32_t number = 0; number < movers_; ++number) {
    runners_[number]->fiber->Start([this, number] {
      if (runners_[number]->body) return runners_[number]->body();
      for (const PlanOperation& operation : plan_.clients[number].operations) runners_[number]->actor->Do(operation);
    });
  }
  strategy.Begin();
  for (;;) {
    const Situation situation = Look();
    if ((situation.ready | situation.waiting) == 0 || !error_.empty()) break;
    RunTurn(strategy.Next(situation));
  }
  current_ = nullptr;
  current_number_ = 0;
}

std::vector<ScheduleStep> Simulation::TurnsSoFar() const {
  std::vector<ScheduleStep> turns = turns_;
  // Recoverers' turns are no part of the schedule.
  if (in_turn_ && turn_.client < plan_.clients.size())
    turns.push_back({turn_.client, points_ - turn_began_, turn_.held});
  return turns;
}

std::string Simulation::Run(Strategy& strategy, CrashObserver* observer) {
  Begin();
  // Stores are seen from the first to the last, so that the next run knows what to begin anew.
  SetSharedMemoryHooks(this, nullptr);
  std::string error = Before();
  if (error.empty()) error = error_;
  if (!error.empty()) return error;
  scheduled_ = true;
  observer_ = observer;
  imaged_ = observer != nullptr || log_ != nullptr;
  if (imaged_) image_.Load(memory_.data(), dirty_);
  image_.set_hashing(observer != nullptr);
  SetSharedMemoryHooks(this, this);
  MoveAll(strategy);
  const uint64_t points = points_;
  const size_t turns = turns_.size();
  if (error_.empty()) Recover();
  turns_.resize(turns);
  for (const auto& runner : runners_) Drain(*runner);
  scheduled_ = false;
  SetSharedMemoryHooks(this, nullptr);
  counts_.points += points_;
  points_ = points;
  for (const auto& runner : runners_) counts_.operations += runner->actor != nullptr ? runner->actor->operations() : 0;
  if (error_.empty()) error_ = JudgeEnd();
  SetSharedMemoryHooks(nullptr, nullptr);
  return error_;
}

}  // namespace lightning::faults
