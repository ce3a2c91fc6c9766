// Stray writes: a process with clients attached has threads whose stores go astray, aimed and at random, while the
// clients rest and while they work. Another process, this one, looks at the bytes of the file. To prove that it would
// see one that lands, some are fired through a door that was left open on purpose.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>

#include "faults/check/word_names.h"
#include "faults/engine/parts.h"
#include "faults/engine/stray_range.h"
#include "faults/model/random.h"
#include "faults/report/progress.h"
#include "faults/target/segments.h"
#include "store/gate/process_key.h"

namespace lightning::faults {
namespace {

constexpr uint32_t kRestQuota = 2'000, kWorkQuota = 20'000;  // shots of each thread between two looks
constexpr double kVolleyPatience = 60;                       // seconds for one volley; an emulated machine is slow

// Whether a landing like this is a fault of the store's. In mode none nothing is kept out, and a judge that sees that
// is sound; in mode hidden what is aimed lands, as its description says.
bool Violates(Isolation mode, StrayTarget target, bool in_window) {
  if (target == StrayTarget::kView || target == StrayTarget::kNear) return true;
  return mode == Isolation::kHidden ? false : mode == Isolation::kMprotect ? !in_window : true;
}

const char* OperationName(StrayOperation operation) {
  switch (operation) {
    case StrayOperation::kGet:
      return "get";
    case StrayOperation::kPut:
      return "put";
    case StrayOperation::kDelete:
      return "delete";
    case StrayOperation::kCreate:
      return "create";
  }
  return "?";
}

// One process that fires, on a segment of its own.
class StrayRound {
 public:
  StrayRound(uint64_t seed, Isolation isolation, const StraySetup& setup, StrayPart* part)
      : random_(MixSeeds(seed, 9)), isolation_(isolation), part_(part) {
    options_.size = 2 << 20;
    options_.max_objects = 128;
    options_.max_clients = 8;
    options_.max_pins = 64;
    options_.event_slots = 16;
    options_.isolation = isolation;
    options_.lock_timeout = std::chrono::milliseconds(200);
    setup_ = {seed, setup.workers, setup.firers, setup.plant_open_page};
    // Far from the mappings of the segment: a client whose state was hit may write wherever an index of 32 bits leads
    // it, and what stands here has to be believed.
    constexpr uintptr_t kFarAway = 0x1000'0000'0000;
    void* board = mmap(reinterpret_cast<void*>(kFarAway), sizeof(StrayBoard), PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    LIGHTNING_ASSERT(board != MAP_FAILED);
    board_ = new (board) StrayBoard;
  }
  ~StrayRound() {
    End();
    for (const int fd : {door_, words_}) {
      if (fd >= 0) close(fd);
    }
    munmap(board_, sizeof(StrayBoard));
  }
  StrayRound(const StrayRound&) = delete;
  StrayRound& operator=(const StrayRound&) = delete;

  std::string Begin() {
    Result<std::unique_ptr<FileSegment>> file = FileSegment::Create(options_);
    if (!file.ok()) return "making the segment: " + file.status().ToString();
    file_ = std::move(*file);
    Result<Store> store = Store::Open(file_->path(), options_);
    door_ = open(file_->path().c_str(), O_RDWR | O_CLOEXEC);
    if (!store.ok() || door_ < 0) return "preparing the range failed";
    store_ = std::move(*store);
    fflush(nullptr);
    pid_ = fork();
    // What it says when it dies of what landed is of no use to anyone; else it is a part of the finding.
    if (pid_ == 0 && words_ >= 0) dup2(words_, STDERR_FILENO);
    if (pid_ == 0) RunStrayRange(*store_, *board_, setup_);
    if (!Answered(1)) return "the process that fires died early";
    if (board_->error[0] != 0) return board_->error;
    before_.resize(size());
    return OpenDoors();
  }

  // What must land, or the judge is blind.
  std::string OpenDoors() {
    for (const bool through_window : {true, false}) {
      board_->open_shots = kOpenShots / 2;
      memcpy(before_.data(), view(), size());
      const uint64_t words = size() / 8 / board_->open_shots;  // each shot has a part of the segment for itself
      for (uint64_t i = 0; i < board_->open_shots; ++i) {
        const auto kind = static_cast<ShotKind>(random_.Below(3));
        board_->shots[i] = {through_window, kind, (i * words + random_.Below(words)) * 8,
                            kStrayMark | random_.Below(1 << 20)};
      }
      if (!Ask(StrayCommand::kOpenDoors, 0)) return "the process that fires died of a store through an open door";
      uint32_t seen = 0;
      for (uint32_t i = 0; i < board_->open_shots; ++i) {
        const OpenShot& shot = board_->shots[i];
        seen += memcmp(view() + shot.offset, &shot.value, shot.kind == ShotKind::kByte ? 1 : 8) == 0;
      }
      part_->control_fired += board_->open_shots;
      part_->control_landed += seen;
      Restore();
      if (seen != board_->open_shots)
        return fmt::format("only {} of {} stores through an open door were seen", seen, board_->open_shots);
    }
    return "";
  }

  // While all clients rest: any byte that changes was hit.
  std::string Rest() {
    memcpy(before_.data(), view(), size());
    const bool lived = Ask(StrayCommand::kRest, kRestQuota);
    const bool changed = memcmp(before_.data(), view(), size()) != 0;
    std::string error = Judge(lived, changed);
    Restore();
    return error;
  }

  // While they work: what a stray store wrote carries its mark.
  std::string Work() {
    const bool lived = Ask(StrayCommand::kWork, kWorkQuota);
    bool marked = false;
    for (uint64_t offset = 0; offset < size() && !marked; offset += 8) {
      uint64_t word;
      memcpy(&word, view() + offset, 8);
      marked = (word & kStrayMarkBits) == kStrayMark;
    }
    return Judge(lived, marked);
  }

  // A store that nothing hit has to be whole.
  std::string Check() {
    if (!usable() || Landed() != 0) return "";
    Result<Client> client = file_->Attach();
    if (!client.ok()) return "attaching afterwards: " + client.status().ToString();
    const CheckReport report = client->Check();
    return report.ok || report.violations.empty() ? "" : "nothing landed, and yet: " + report.violations[0];
  }

  // Whether it is worth going on: nobody died, and no client's state was hit in the middle of its work.
  bool usable() const { return pid_ > 0 && !spoilt_; }

  // Adds what was counted to the part's figures.
  void Count() {
    for (uint32_t target = 0; target < kStrayTargets; ++target) {
      StrayFigures& sum = part_->targets[target];
      for (const auto& thread : board_->counts) {
        const StrayCount& count = thread[target];
        sum.faulted += count.faulted.load();
        sum.in_private += count.in_private.load();
        sum.landed += count.landed();
        sum.landed_in_window += count.in_window.load();
        sum.during += count.during.load();
      }
      sum.fired = sum.faulted + sum.in_private + sum.landed;
    }
    part_->operations += board_->operations.load();
    ++part_->rounds;
    const uint32_t kept = std::min(board_->landings.load(), kKeptLandings);
    for (uint32_t i = 0; i < kept && part_->landings.size() < 20; ++i)
      part_->landings.push_back(Describe(board_->kept[i]));
  }

 private:
  const std::byte* view() const { return file_->segment().view(); }
  uint64_t size() const { return file_->segment().geometry().size; }

  uint64_t Landed(bool in_window) const {
    uint64_t landed = 0;
    for (const auto& thread : board_->counts) {
      for (const StrayCount& count : thread) landed += (in_window ? count.in_window : count.outside).load();
    }
    return landed;
  }
  uint64_t Landed() const { return Landed(true) + Landed(false); }

  // False when the process died.
  bool Ask(StrayCommand command, uint32_t quota) {
    board_->command = command;
    board_->quota = quota;
    return Answered(board_->asked.fetch_add(1) + 1);
  }
  bool Answered(uint64_t number) {
    const Clock::time_point begin = Clock::now();
    if (number == 1) board_->asked.store(1);
    while (board_->answered.load() < number) {
      if (waitpid(pid_, &status_, WNOHANG) == pid_) {
        pid_ = -1;
        return false;
      }
      if (SecondsSince(begin) > kVolleyPatience) {
        End();
        return false;
      }
      usleep(100);
    }
    return true;
  }
  void End() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, &status_, 0);
    pid_ = -1;
  }

  // Whatever came through goes back, from this side.
  void Restore() {
    if (memcmp(before_.data(), view(), size()) == 0) return;
    LIGHTNING_ASSERT(pwrite(door_, before_.data(), size(), 0) == static_cast<ssize_t>(size()));
  }

  std::string Judge(bool lived, bool changed) {
    const uint64_t landed = Landed();
    if (changed && landed == 0) return "bytes changed that no thread saw landing";
    spoilt_ = landed != 0 && board_->command == StrayCommand::kWork;
    const std::string violation = Violation();
    if (!violation.empty()) return violation;
    if (!lived) {
      ++part_->died;
      if (landed == 0)
        return fmt::format("the process died (status {:#x}), though nothing landed: {}", status_, LastWords());
    }
    if (landed == 0 && board_->wrong.load())
      return fmt::format("though nothing landed, a client saw: {}", board_->worker_error);
    return "";
  }

  // The first landing that must not be.
  std::string Violation() const {
    if (board_->has_outside.load() && Landed(false) != 0 && Violates(isolation_, board_->outside.target, false))
      return Describe(board_->outside);
    const uint32_t kept = std::min(board_->landings.load(), kKeptLandings);
    for (uint32_t i = 0; i < kept; ++i) {
      const StrayLanding& its = board_->kept[i];
      if (Violates(isolation_, its.target, its.in_window)) return Describe(its);
    }
    for (uint32_t target = 0; target < kStrayTargets; ++target) {
      for (const auto& thread : board_->counts) {
        const StrayCount& count = thread[target];
        const auto which = static_cast<StrayTarget>(target);
        if ((count.in_window.load() != 0 && Violates(isolation_, which, true)) ||
            (count.outside.load() != 0 && Violates(isolation_, which, false)))
          return fmt::format("a store landed ({})", kStrayTargetNames[target]);
      }
    }
    return "";
  }

  std::string LastWords() const {
    char text[300];
    const ssize_t size = words_ < 0 ? 0 : pread(words_, text, sizeof text, 0);
    return size <= 0 ? "it said nothing" : std::string(text, static_cast<size_t>(size));
  }

  std::string Describe(const StrayLanding& its) const {
    std::string text =
        fmt::format("a store ({}) to {:#x}, {} through the {} of client {}, landed",
                    kStrayTargetNames[static_cast<uint32_t>(its.target)], its.address,
                    WordName(file_->segment(), its.offset), its.through_view ? "view" : "control mapping", its.client);
    text += its.in_window ? " while that client had a window open" : " while that client had no window open";
    for (uint32_t i = 0; i < setup_.workers; ++i) {
      const auto& lane = its.lanes[i];
      text += fmt::format("; client {} {} {} of key {}, its operation {}, its last window {} {}", i,
                          lane.activity % 2 != 0 ? "in" : "after", OperationName(lane.operation), lane.key,
                          (lane.activity + 1) / 2, (lane.windows + 1) / 2, lane.windows % 2 != 0 ? "open" : "closed");
    }
    return text;
  }

  Options options_;
  Random random_;
  const Isolation isolation_;
  StrayPart* const part_;
  StrayRangeSetup setup_;
  std::unique_ptr<FileSegment> file_;
  std::optional<Store> store_;
  StrayBoard* board_ = nullptr;
  int door_ = -1, words_ = memfd_create("stray", MFD_CLOEXEC), status_ = 0;
  pid_t pid_ = -1;
  bool spoilt_ = false;
  std::vector<std::byte> before_;
};

}  // namespace

StrayFigures StrayPart::total() const {
  StrayFigures sum;
  for (const StrayFigures& its : targets) {
    sum.fired += its.fired;
    sum.faulted += its.faulted;
    sum.in_private += its.in_private;
    sum.landed += its.landed;
    sum.landed_in_window += its.landed_in_window;
    sum.during += its.during;
  }
  return sum;
}

const char* StrayPart::TargetName(size_t target) { return kStrayTargetNames[target]; }

StrayPart RunStrayPart(uint64_t seed, Isolation isolation, const Budget& budget, Findings* findings,
                       const StraySetup& setup) {
  static_assert(std::tuple_size_v<decltype(StrayPart::targets)> == kStrayTargets);
  StrayPart part;
  std::vector<Isolation> modes{isolation};
  if (isolation == Isolation::kAuto) modes = {Isolation::kMprotect};
  if (isolation == Isolation::kAuto && MachineHasKeys()) modes.insert(modes.begin(), Isolation::kKeys);
  Progress progress("stray", budget.quiet);
  const Clock::time_point begin = Clock::now();
  for (size_t i = 0; i < modes.size(); ++i) {
    const bool works = setup.works || modes[i] == Isolation::kKeys;
    const double until = budget.seconds * static_cast<double>(i + 1) / static_cast<double>(modes.size());
    std::string error;
    uint64_t number = 0;
    do {
      StrayRound round(MixSeeds(seed, i * 1'000'000 + number++), modes[i], setup, &part);
      error = round.Begin();
      do {
        if (error.empty()) error = round.Rest();
        if (error.empty() && round.usable() && works) error = round.Work();
        progress.Show(fmt::format("{} rounds ({})", number, IsolationName(modes[i])));
      } while (error.empty() && round.usable() && SecondsSince(begin) < until);
      if (error.empty() && round.usable()) error = round.OpenDoors();
      if (error.empty()) error = round.Check();
      round.Count();
    } while (error.empty() && SecondsSince(begin) < until);
    part.modes += (part.modes.empty() ? "" : ", ") + std::string(IsolationName(modes[i]));
    if (error.empty()) continue;
    findings->push_back(
        {"stray", fmt::format("in mode {}: {}", IsolationName(modes[i]), error),
         fmt::format("lightning-faults {} --seed {} --mode {}", setup.works ? "run --engine real --stray" : "stray",
                     seed, IsolationName(isolation))});
    break;
  }
  part.seconds = SecondsSince(begin);
  return part;
}

}  // namespace lightning::faults
