// One run of a plan: its clients as fibers over one segment in memory, every access to a shared word a point at which
// another may go on and at which a client may die.
//
// Memory is x86-TSO (Sewell et al. 2010): a store goes to its client's buffer first; its own later loads see it there,
// the others see memory; a buffer drains in order, at the latest when it is full, at a locked instruction or fence, and
// when its client asks the system for anything. What a killed client had stored still arrives. Two things are written
// in order but never buffered: payload (the bytes of values), and a client's own undo log and list of held locks.
#pragma once

#include <array>
#include <memory>
#include <memory_resource>
#include <optional>
#include <string>
#include <vector>

#include "faults/plan/plan.h"
#include "faults/sim/actor.h"
#include "faults/sim/allocations.h"
#include "faults/sim/crash_image.h"
#include "faults/sim/fiber.h"
#include "faults/sim/record.h"
#include "faults/sim/sim_evidence.h"
#include "faults/sim/store_buffer.h"
#include "faults/sim/strategy.h"
#include "faults/sim/words.h"
#include "faults/target/segments.h"
#include "store/kernel/kernel.h"
#include "store/segment/atomic.h"

namespace lightning::faults {

// Looks at crash states.
class CrashObserver {
 public:
  virtual ~CrashObserver() = default;
  // A state that `hash` tells from the others of this plan. False: seen before, no more to do. Called where the store
  // was made, on its client's stack.
  virtual bool IsNew(uint64_t hash) = 0;
  // Called on the thread's own stack, between two accesses. An error text, or "".
  virtual std::string Check(CrashImage& image, const Record& record) = 0;
  // After a Check: it wants to be shown no other state of this run.
  virtual bool SawEnough() const { return false; }
};

struct SimCounts {
  uint64_t operations = 0, points = 0, turns = 0, crash_states = 0, kills = 0, stores = 0;
};

class Simulation final : private SharedMemoryHooks, private Stage {
 public:
  // `plan` outlives this. REQUIRES: a plan that fits (plan_text.h checks).
  explicit Simulation(const Plan& plan);
  ~Simulation() override;

  // The plan once, under this strategy. What is wrong, or "". With `observer`, every crash state is shown to it until
  // it has seen enough.
  std::string Run(Strategy& strategy, CrashObserver* observer);

  // The plan that this was made with now says something else. REQUIRES: its segment, its schedule's memory and buffer
  // and its clients' names are the same, and it names no recoverer that it did not name then. For programs that run
  // many short plans: nothing but the catalogue is made anew.
  void PlanChanged();

  // For tests of the engine itself: this client does that instead of its operations.
  void Replace(uint32_t client, std::function<void()> body) { runners_[client]->body = std::move(body); }
  MemorySegment& memory() { return memory_; }

  const SimCounts& counts() const { return counts_; }  // over all runs
  uint64_t points() const { return points_; }          // of the last run
  const std::vector<ScheduleStep>& turns() const { return turns_; }
  // The same, with the turn in which the run ended in the middle.
  std::vector<ScheduleStep> TurnsSoFar() const;
  // A hash of what was loaded from memory and stored in the last run, by whom and in which order, without the clients'
  // accesses to their own logs: equal for equal runs.
  uint64_t trace() const { return trace_; }
  // For the report of a failure: every access from here on is written down. It outlives the runs.
  void set_log(std::vector<SimAccess>* log) { log_ = log; }
  // What everybody's death at this instant would leave. Kept by runs with a log, or an observer that wants more.
  const CrashImage& image() const { return image_; }
  const Catalogue& catalogue() const { return catalogue_; }
  const Record& record() const { return record_; }
  // By word: whether it was ever stored to.
  const std::vector<uint8_t>& stored() const { return stored_; }

 private:
  class SimKernel;
  enum class Life : uint8_t { kReady, kWaiting, kStopped, kDone, kDead };

  struct Trigger {
    Moment at;
    enum { kKill, kStop } what;
    uint64_t points;  // of a stop
  };
  // One client: of the plan, or a recoverer that comes later.
  struct Runner {
    Runner(std::string its_name, uint32_t buffer_size) : name(std::move(its_name)), buffer(buffer_size) {}

    std::string name;
    Life life = Life::kReady;
    std::function<void()> body;  // instead of the plan's
    std::unique_ptr<Fiber> fiber = std::make_unique<Fiber>();
    Allocations allocations;
    std::array<std::byte, 2048> first_memory;  // most actors need no more
    std::pmr::monotonic_buffer_resource memory{first_memory.data(), first_memory.size()};
    Actor* actor = nullptr;  // in that memory
    uint64_t pid = 0;
    int slot = -1;  // that it has announced
    Nanoseconds wake{0};
    const void* word = nullptr;  // that it waits for
    // While it waits for no certain word it polls: these are the ones it has read since it last began to, a bit for
    // several. Until one of them changes, or somebody's life does, it would see the same again.
    uint64_t polled = 0;
    StoreBuffer buffer;
    uint64_t payload = 0, payload_size = 0;  // being written in place
    std::vector<Trigger> triggers;
    bool watched = false;        // one of the two is there
    uint64_t counts[12] = {};    // by Moment::Unit
    uint64_t stopped_until = 0;  // points of all
  };

  // SharedMemoryHooks.
  uint64_t Load(const void* place, uint32_t size) override;
  void Store(void* place, uint32_t size, uint64_t value) override;
  uint64_t Exchange(void* place, uint32_t size, uint64_t value) override;
  uint64_t FetchAdd(void* place, uint32_t size, uint64_t value) override;
  uint64_t CompareExchange(void* place, uint32_t size, uint64_t expected, uint64_t desired) override;
  void Fence() override;
  void Payload(void* place, uint64_t size) override;
  uint64_t Ticks() override { return ++ticks_; }

  // Stage.
  uint64_t Tick() override { return ++clock_; }
  Result<Client> Attach(uint32_t client) override;
  void Fail(std::string what) override;
  bool PatienceMayEnd() const override { return !plan_.stops.empty(); }
  bool SomebodyDied() const override { return died_; }
  std::optional<uint64_t> OthersAtRest(uint32_t client) const override;

  // Before and after what the strategy decides.
  void Begin();
  std::string Before();
  void MoveAll(Strategy& strategy);
  void Recover();
  std::string JudgeEnd();
  std::string JudgeKeys(Client& client);
  void MakeActor(uint32_t number);
  void Reset(Runner& runner);
  void AddRunner(const std::string& name);
  Runner* FindRunner(const std::string& name);
  void AddTrigger(const std::string& client, const Trigger& trigger);

  // Moving.
  void RunTurn(const Turn& turn);
  void MeetCrash();
  void ShowCrash();
  Situation Look();
  void Suspend();
  void Kill(Runner& runner);
  void WakePollers();
  void WakePollersOf(uint64_t offset);
  void DrainCurrent();

  // Accesses by the current client.
  void Point(const WordInfo& info);
  void PointSlowly(const WordInfo& info);
  static void Watch(Runner& runner) { runner.watched = runner.payload_size != 0 || !runner.triggers.empty(); }
  uint64_t LockedBegin(const void* place, uint32_t size, uint64_t* offset);
  void LockedStore(uint64_t offset, uint32_t size, uint64_t before, uint64_t value);
  void Retire(uint64_t offset, const WordInfo& info, uint32_t size, uint64_t before, uint64_t value);
  void Arrive(const BufferedStore& store);
  void Commit(const BufferedStore& store);
  void Drain(Runner& runner, size_t keep = 0);
  void FinishPayload(Runner& runner);
  void CheckUndo(uint64_t offset, const WordInfo& info, uint64_t before, uint64_t value);
  // Its kills and stops are all that asks for the counts.
  void Count(Moment::Unit unit) {
    if (!current_->triggers.empty()) CountMoment(unit);
  }
  void CountMoment(Moment::Unit unit);
  void CountStore(const WordInfo& info, uint64_t before, uint64_t value);
  static uint64_t PolledBit(uint64_t offset) { return uint64_t{1} << ((offset / 8 ^ offset / 512) % 64); }
  uint64_t OffsetOf(const void* place) const { return memory_.segment().OffsetOf(place); }
  uint64_t Raw(uint64_t offset, uint32_t size) const;
  uint64_t Seen(uint64_t offset, uint32_t size) const;  // by the current client
  void Log(bool store, uint64_t offset, uint64_t before, uint64_t value) {
    if (__builtin_expect(log_ != nullptr, 0)) WriteLog(store, offset, before, value);
  }
  void WriteLog(bool store, uint64_t offset, uint64_t before, uint64_t value);

  const Plan& plan_;
  const Options options_;
  const bool buffers_;  // stores wait in their client's buffer
  Catalogue catalogue_;
  Record record_;
  MemorySegment memory_;
  const WordMap words_;
  const std::vector<std::byte> fresh_;  // the segment as it is made
  DirtyBlocks dirty_;                   // where memory_ differs from that
  CrashImage image_;
  std::vector<std::unique_ptr<Runner>> runners_;  // the plan's clients, then recoverers, then the judge
  uint32_t movers_ = 0;                           // of these the first so many move
  uint64_t pids_ = 0;
  Runner* current_ = nullptr;
  uint32_t current_number_ = 0;
  Runner* attacher_ = nullptr;
  uint32_t pollers_ = 0;               // clients that wait and poll
  bool scheduled_ = false;             // points count, and others may go on there
  CrashObserver* observer_ = nullptr;  // to whom crash states are shown
  bool imaged_ = false;                // image_ is kept
  bool crash_pending_ = false;         // one that it has not seen
  bool died_ = false;
  uint64_t budget_ = 0;
  Turn turn_;  // the present one, and the points before it; no client when none is under way
  uint64_t turn_began_ = 0;
  bool in_turn_ = false;
  uint64_t points_ = 0, clock_ = 0, ticks_ = 0, trace_ = 0;
  Nanoseconds now_{1};
  std::string error_;
  std::vector<ScheduleStep> turns_;
  std::vector<const KnownItem*> found_;  // at the end, by key
  std::vector<uint8_t> stored_;
  SimCounts counts_;
  std::vector<SimAccess>* log_ = nullptr;
};

}  // namespace lightning::faults
