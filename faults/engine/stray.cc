// Stray writes: a process with clients attached stores to the segment's mappings from outside a window, aimed and at
// random. Another process, this one, compares all bytes of the file before and after. To prove that it would see one
// that lands, some are fired through a door that was left open on purpose.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <fstream>
#include <optional>

#include "faults/engine/parts.h"
#include "faults/model/content.h"
#include "faults/model/random.h"
#include "faults/report/progress.h"
#include "faults/target/segments.h"
#include "store/client/core.h"
#include "store/gate/process_key.h"

namespace lightning::faults {
namespace {

enum class Through : uint32_t { kControl, kView, kWindow, kPlainMapping };
enum class Kind : uint32_t { kWord, kByte, kExchange };

struct Shot {
  Through through;
  Kind kind;
  uint64_t offset;
  uint64_t value;
  uint32_t faulted;
};
constexpr uint32_t kShots = 512;  // between two looks

// In memory shared by the one who fires and the one who judges.
struct Range {
  uint32_t count;
  char error[200];
  Shot shots[kShots];
};

// --- The one who fires.

// A store instruction whose address is known, so that the handler knows a stray store from any other fault, and steps
// over it. The rights of this thread to protection keys come back with the signal frame.
extern "C" {
extern const char lightning_stray_word[], lightning_stray_byte[], lightning_stray_exchange[];
extern const char lightning_stray_word_end[], lightning_stray_byte_end[], lightning_stray_exchange_end[];
}
volatile sig_atomic_t faulted;

__attribute__((noinline)) void Fire(Kind kind, std::byte* at, uint64_t value) {
  switch (kind) {
    case Kind::kWord:
      asm volatile(
          ".globl lightning_stray_word, lightning_stray_word_end\n"
          "lightning_stray_word: movq %1, (%0)\n"
          "lightning_stray_word_end:"
          :
          : "r"(at), "r"(value)
          : "memory");
      break;
    case Kind::kByte:
      asm volatile(
          ".globl lightning_stray_byte, lightning_stray_byte_end\n"
          "lightning_stray_byte: movb %b1, (%0)\n"
          "lightning_stray_byte_end:"
          :
          : "r"(at), "q"(value)
          : "memory");
      break;
    case Kind::kExchange:
      asm volatile(
          ".globl lightning_stray_exchange, lightning_stray_exchange_end\n"
          "lightning_stray_exchange: xchgq %1, (%0)\n"
          "lightning_stray_exchange_end:"
          : "+r"(at), "+r"(value)
          :
          : "memory");
      break;
  }
}

void StepOver(int, siginfo_t*, void* context) {
  auto* registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  const auto at = reinterpret_cast<const char*>(registers[REG_RIP]);
  const char* to = at == lightning_stray_word       ? lightning_stray_word_end
                   : at == lightning_stray_byte     ? lightning_stray_byte_end
                   : at == lightning_stray_exchange ? lightning_stray_exchange_end
                                                    : nullptr;
  if (to == nullptr) _exit(8);  // a fault of the harness
  registers[REG_RIP] = reinterpret_cast<greg_t>(to);
  faulted = 1;
}

class Shooter {
 public:
  Shooter(const Store& store, Range& range) : store_(store), range_(range) {}

  // Attaches, puts a few objects, says where it is, then fires whatever lies on the range. Never returns.
  [[noreturn]] void Run(int commands, int answers, uint32_t clients) {
    std::string error = Prepare(clients);
    snprintf(range_.error, sizeof range_.error, "%s", error.c_str());
    char byte = 0;
    if (write(answers, &byte, 1) != 1 || !error.empty()) _exit(7);
    struct sigaction action = {};
    action.sa_sigaction = StepOver;
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGSEGV, &action, nullptr);
    sigaction(SIGBUS, &action, nullptr);
    while (read(commands, &byte, 1) == 1) {
      for (uint32_t i = 0; i < range_.count; ++i) FireOne(range_.shots[i]);
      if (write(answers, &byte, 1) != 1) break;
    }
    _exit(0);
  }

 private:
  std::string Prepare(uint32_t clients) {
    for (uint32_t i = 0; i < clients; ++i) {
      Result<Client> client = store_.Connect();
      if (!client.ok()) return "attaching: " + client.status().ToString();
      for (uint64_t k = 0; k < 20; ++k) {
        const Result<uint64_t> put = client->Put(fmt::format("stray-{}-{}", i, k), Pattern(100 + 300 * k, k));
        if (!put.ok()) return "putting: " + put.status().ToString();
      }
      clients_.push_back(std::move(*client));
    }
    FindMappings();
    return control_ == nullptr || view_ == nullptr ? "the two mappings of the segment were not found" : "";
  }

  // As anyone can see them: whole mappings of the file, of which one was mapped for reading alone.
  void FindMappings() {
    const Segment& segment = ClientCore::Of(clients_[0])->environment().segment;
    view_ = const_cast<std::byte*>(segment.view());
    size_ = segment.geometry().size;
    std::ifstream maps("/proc/self/maps");
    std::string line;
    while (std::getline(maps, line)) {
      uint64_t begin = 0, end = 0, offset = 0;
      char rights[8];
      if (sscanf(line.c_str(), "%lx-%lx %7s %lx", &begin, &end, rights, &offset) != 4) continue;
      const bool whole = end - begin == size_ && offset == 0 && line.find(store_.path()) != std::string::npos;
      // The lowest other one; with several clients each has one, and any will do.
      if (whole && reinterpret_cast<std::byte*>(begin) != view_ && control_ == nullptr && IsControl(begin))
        control_ = reinterpret_cast<std::byte*>(begin);
    }
    const int fd = open(store_.path().c_str(), O_RDWR | O_CLOEXEC);
    void* plain = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (plain != MAP_FAILED) plain_ = static_cast<std::byte*>(plain);
  }
  // Not the view of any client of ours.
  bool IsControl(uint64_t begin) const {
    return std::none_of(clients_.begin(), clients_.end(), [&](const Client& client) {
      return reinterpret_cast<uint64_t>(ClientCore::Of(client)->environment().segment.view()) == begin;
    });
  }

  void FireOne(Shot& shot) {
    faulted = 0;
    switch (shot.through) {
      case Through::kControl:
        Fire(shot.kind, control_ + shot.offset, shot.value);
        break;
      case Through::kView:
        Fire(shot.kind, view_ + shot.offset, shot.value);
        break;
      case Through::kPlainMapping:
        Fire(shot.kind, plain_ + shot.offset, shot.value);
        break;
      case Through::kWindow: {
        Window window(ClientCore::Of(clients_[0])->gate());
        Fire(shot.kind, window.Payload(shot.offset, 8), shot.value);
        break;
      }
    }
    shot.faulted = static_cast<uint32_t>(faulted);
  }

  const Store& store_;
  Range& range_;
  std::vector<Client> clients_;
  std::byte *control_ = nullptr, *view_ = nullptr, *plain_ = nullptr;
  uint64_t size_ = 0;
};

// --- The one who judges.

class StrayRun {
 public:
  StrayRun(uint64_t seed, Isolation isolation, StrayPart* part) : random_(MixSeeds(seed, 9)), part_(part) {
    options_.size = 2 << 20;
    options_.max_objects = 128;
    options_.max_clients = 8;
    options_.max_pins = 64;
    options_.event_slots = 16;
    options_.isolation = isolation;
    void* range = mmap(nullptr, sizeof(Range), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    LIGHTNING_ASSERT(range != MAP_FAILED);
    range_ = new (range) Range;
  }
  ~StrayRun() {
    for (const int fd : {commands_[0], commands_[1], answers_[0], answers_[1]}) {
      if (fd >= 0) close(fd);
    }
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
    if (door_ >= 0) close(door_);
    munmap(range_, sizeof(Range));
  }
  StrayRun(const StrayRun&) = delete;
  StrayRun& operator=(const StrayRun&) = delete;

  std::string Begin() {
    Result<std::unique_ptr<FileSegment>> file = FileSegment::Create(options_);
    if (!file.ok()) return "making the segment: " + file.status().ToString();
    file_ = std::move(*file);
    const Result<Store> store = Store::Open(file_->path(), options_);
    door_ = open(file_->path().c_str(), O_RDWR | O_CLOEXEC);
    if (!store.ok() || door_ < 0 || pipe2(commands_, O_CLOEXEC) != 0 || pipe2(answers_, O_CLOEXEC) != 0)
      return "preparing the range failed";
    pid_ = fork();
    if (pid_ == 0) {
      close(commands_[1]);
      close(answers_[0]);
      Shooter(*store, *range_).Run(commands_[0], answers_[1], 2);
    }
    close(commands_[0]);
    close(answers_[1]);
    commands_[0] = answers_[1] = -1;
    char byte;
    if (read(answers_[0], &byte, 1) != 1) return "the process that fires died early";
    if (range_->error[0] != 0) return range_->error;
    before_.resize(size());
    AimAt();
    return "";
  }

  // Every place of interest once, through both mappings; then random ones for as long as there is time.
  std::string Aimed() {
    for (size_t at = 0; at < aims_.size(); at += kShots / 2) {
      range_->count = 0;
      for (size_t i = at; i < std::min(aims_.size(), at + kShots / 2); ++i) {
        Add(Through::kControl, aims_[i]);
        Add(Through::kView, aims_[i]);
      }
      std::string error = Volley(false);
      if (!error.empty()) return error;
    }
    return "";
  }
  std::string AtRandom() {
    range_->count = 0;
    while (range_->count < kShots)
      Add(random_.Percent(50) ? Through::kControl : Through::kView, random_.Below(size() / 8) * 8);
    return Volley(false);
  }
  // What must land, or the judge is blind.
  std::string Controls() {
    for (const Through through : {Through::kWindow, Through::kPlainMapping}) {
      range_->count = 0;
      for (int i = 0; i < 32; ++i) Add(through, aims_[random_.Below(aims_.size())]);
      std::string error = Volley(true);
      if (!error.empty()) return error;
    }
    return "";
  }

 private:
  const std::byte* view() const { return file_->segment().view(); }
  uint64_t size() const { return file_->segment().geometry().size; }

  void AimAt() {
    const Segment& segment = file_->segment();
    const Geometry& g = segment.geometry();
    auto words = [&](uint64_t begin, uint64_t count) {
      for (uint64_t i = 0; i < count; ++i) aims_.push_back(begin + 8 * i);
    };
    words(0, sizeof(Superblock) / 8);
    words(g.central, sizeof(Central) / 8);
    for (SlotIndex slot = 0; slot < 3; ++slot) {
      words(g.SlotOffset(slot), offsetof(Slot, log) / 8 + 16);  // state, lock, caches, held locks, count, log
      words(g.ClientPageOffset(slot), 16);
    }
    words(g.buckets, sizeof(Bucket) / 8 * g.home_buckets);
    for (uint32_t id = 1; id <= 48; ++id) {
      const Object& object = segment.object(ObjectId{id});
      words(segment.OffsetOf(&object), sizeof(Object) / 8);
      const uint64_t payload = object.payload.Load();
      if (segment.InHeap(payload, 64)) words(payload, 8);
    }
    words(g.block_table, 64);
    words(g.events, 16);
    words(g.doorbells, 16);
  }

  void Add(Through through, uint64_t offset) {
    const auto kind = static_cast<Kind>(random_.Below(3));
    uint64_t now = 0;
    memcpy(&now, view() + offset, 8);
    // Every byte another than the one that is there.
    range_->shots[range_->count++] = {through, kind, offset, ~now, 0};
  }

  std::string Volley(bool must_land) {
    memcpy(before_.data(), view(), size());
    char byte = 1;
    if (write(commands_[1], &byte, 1) != 1 || read(answers_[0], &byte, 1) != 1) {
      int status = 0;
      waitpid(pid_, &status, 0);
      pid_ = -1;
      return fmt::format("the process that fires died (status {:#x})", status);
    }
    uint64_t landed = 0;
    std::string first;
    for (uint32_t i = 0; i < range_->count; ++i) {
      const Shot& shot = range_->shots[i];
      if (view()[shot.offset] == before_[shot.offset]) continue;
      ++landed;
      if (first.empty())
        first = fmt::format("a store to offset {:#x} through the {} landed", shot.offset,
                            shot.through == Through::kView ? "view" : "control mapping");
    }
    const bool any = memcmp(before_.data(), view(), size()) != 0;
    const bool all_faulted =
        std::all_of(range_->shots, range_->shots + range_->count, [](const Shot& shot) { return shot.faulted != 0; });
    // Whatever came through goes back, from this side.
    if (any && pwrite(door_, before_.data(), size(), 0) != static_cast<ssize_t>(size()))
      return "restoring the file failed";
    if (must_land) {
      part_->control_fired += range_->count;
      part_->control_landed += landed;
      // Two on one place are one.
      return landed * 2 > range_->count
                 ? ""
                 : fmt::format("only {} of {} stores through an open door were seen", landed, range_->count);
    }
    part_->fired += range_->count;
    part_->landed += landed;
    if (!first.empty()) return first;
    if (any) return "bytes changed that nobody aimed at";
    return all_faulted ? "" : "a store from outside a window did not fault";
  }

  Options options_;
  Random random_;
  StrayPart* const part_;
  std::unique_ptr<FileSegment> file_;
  Range* range_ = nullptr;
  int commands_[2] = {-1, -1}, answers_[2] = {-1, -1};
  int door_ = -1;
  pid_t pid_ = -1;
  std::vector<std::byte> before_;
  std::vector<uint64_t> aims_;
};

}  // namespace

StrayPart RunStrayPart(uint64_t seed, Isolation isolation, const Budget& budget, Findings* findings) {
  StrayPart part;
  std::vector<Isolation> modes{isolation};
  if (isolation == Isolation::kAuto) modes = {Isolation::kMprotect};
  if (isolation == Isolation::kAuto && MachineHasKeys()) modes.insert(modes.begin(), Isolation::kKeys);
  Progress progress("stray", budget.quiet);
  const Clock::time_point begin = Clock::now();
  for (size_t i = 0; i < modes.size(); ++i) {
    StrayRun run(MixSeeds(seed, i), modes[i], &part);
    std::string error = run.Begin();
    if (error.empty()) error = run.Controls();
    if (error.empty()) error = run.Aimed();
    const double until = budget.seconds * static_cast<double>(i + 1) / static_cast<double>(modes.size());
    while (error.empty() && SecondsSince(begin) < until) {
      error = run.AtRandom();
      progress.Show(fmt::format("{} fired, {} landed ({})", part.fired, part.landed, IsolationName(modes[i])));
    }
    if (error.empty()) error = run.Controls();
    part.modes += (part.modes.empty() ? "" : ", ") + std::string(IsolationName(modes[i]));
    if (!error.empty()) {
      findings->push_back({"stray", fmt::format("in mode {}: {}", IsolationName(modes[i]), error),
                           fmt::format("lightning-faults stray --seed {} --mode {}", seed, IsolationName(isolation))});
      break;
    }
  }
  part.seconds = SecondsSince(begin);
  return part;
}

}  // namespace lightning::faults
