#include "store/testing/testing.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include "store/client/check.h"
#include "store/client/core.h"
#include "store/index/object.h"
#include "store/log/words.h"

namespace lightning::test {
namespace {

class WorldKernel final : public Kernel {
 public:
  explicit WorldKernel(World& world) : world_(world), pid_(getpid()) {}

  Status Announce(uint32_t slot) override {
    world_.dead[slot] = false;
    return {};
  }
  void Retract(uint32_t) override {}
  Status BeginAttach(Nanoseconds) override { return {}; }
  void EndAttach() override {}
  ClientIdentity Self() override { return {static_cast<uint64_t>(pid_), 1, 1, 1}; }
  bool IsAlive(uint32_t slot, const ClientIdentity*) override { return !world_.dead[slot]; }
  Nanoseconds Now() override {
    return world_.real_time ? Nanoseconds(std::chrono::steady_clock::now().time_since_epoch())
                            : Nanoseconds(world_.now.load());
  }
  void Pause(Nanoseconds pause) override {
    ++world_.pauses;
    if (world_.on_pause) world_.on_pause();
    if (world_.real_time) {
      std::this_thread::sleep_for(pause);
    } else {
      world_.now += std::max<int64_t>(pause.count(), 1000);
    }
  }
  void Wait(const Atomic<uint32_t>& word, uint32_t expected, Nanoseconds limit) override {
    if (word.load() == expected) Pause(world_.real_time ? std::min(limit, Nanoseconds(100'000)) : limit);
  }
  void WakeAll(const Atomic<uint32_t>&) override {}
  bool IsSameProcess() const override { return getpid() == pid_; }

 private:
  World& world_;
  const pid_t pid_;
};

}  // namespace

Options SmallOptions() {
  Options options;
  options.size = 1 << 20;
  options.max_objects = 64;
  options.max_clients = 4;
  options.max_pins = 16;
  options.event_slots = 8;
  options.hash_seed = 12345;
  options.isolation = Isolation::kNone;
  return options;
}

TempFolder::TempFolder() {
  std::string pattern = "/tmp/lightning-test-XXXXXX";
  if (mkdtemp(pattern.data()) == nullptr) abort();
  path_ = pattern;
}
TempFolder::~TempFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}
size_t TempFolder::files() const {
  const std::filesystem::directory_iterator all(path_);
  return static_cast<size_t>(std::distance(begin(all), end(all)));
}

// One that runs or waits for ever dies, and so fails its test, rather than the whole suite. What it may work is
// processor time, which a busy machine does not take from it; the other only ends a wait.
constexpr rlim_t kChildProcessorSeconds = 20;
constexpr unsigned kChildSeconds = 120;

int RunInChild(const std::function<int()>& body) {
  fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    rlimit limit{};
    getrlimit(RLIMIT_CPU, &limit);
    limit.rlim_cur = std::min(limit.rlim_max, kChildProcessorSeconds);
    setrlimit(RLIMIT_CPU, &limit);
    alarm(kChildSeconds);
    _exit(body());
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child) return -1000;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

bool WaitUntilItSleeps(pid_t thread) {
  const std::string path = "/proc/self/task/" + std::to_string(thread) + "/stat";
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (std::chrono::steady_clock::now() < deadline) {
    std::ifstream file(path);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    const size_t end = text.rfind(") ");  // of the name, which may have anything in it
    if (end != std::string::npos && text.compare(end + 2, 1, "S") == 0) return true;
    std::this_thread::yield();
  }
  return false;
}

std::string Violations(const CheckReport& report) {
  if (report.ok) return report.violations.empty() ? "" : "ok, and yet violations";
  if (report.busy) return "busy";
  std::string all;
  for (const std::string& violation : report.violations) all += violation + "\n";
  return all.empty() ? "not ok, and no reason" : all;
}

std::vector<std::string> CollidingKeys(const Segment& segment, size_t count) {
  std::vector<std::string> keys;
  for (int i = 0; keys.size() < count; ++i) {
    std::string name = "collision-" + std::to_string(i);
    if (&segment.home(Key(segment, name).hash) == &segment.home_at(0)) keys.push_back(std::move(name));
  }
  return keys;
}

std::unique_ptr<Kernel> World::NewKernel() { return std::make_unique<WorldKernel>(*this); }

MemorySegment::MemorySegment(const Options& options) {
  const Result<Geometry> geometry = Geometry::Compute(options);
  if (!geometry.ok()) abort();
  geometry_ = *geometry;
  void* memory = mmap(nullptr, size(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) abort();
  memory_ = static_cast<std::byte*>(memory);
  FormatSegment(memory_, geometry_, options);
}
MemorySegment::~MemorySegment() { munmap(memory_, size()); }
MemorySegment::MemorySegment(const MemorySegment& other) : geometry_(other.geometry_) {
  void* memory = mmap(nullptr, size(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) abort();
  memory_ = static_cast<std::byte*>(memory);
  CopyFrom(other);
}
void MemorySegment::CopyFrom(const MemorySegment& other) { memcpy(memory_, other.memory_, size()); }

Result<Client> MemorySegment::Attach(World& world, Nanoseconds lock_timeout) const {
  ClientParts parts;
  parts.gate = Gate::OverMemory(memory_, size());
  parts.kernel = world.NewKernel();
  parts.geometry = geometry_;
  parts.path = "memory";
  parts.lock_timeout = lock_timeout;
  return ClientCore::AttachClient(std::move(parts));
}

CheckReport MemorySegment::Check(const World& world) const {
  return CheckSegment(segment(), [&](SlotIndex slot) { return !world.dead[slot]; });
}

void Poke(const internal::Word& word, uint64_t value) {
  memcpy(const_cast<void*>(static_cast<const void*>(&word)), &value, sizeof value);
}

Actor::Actor(const MemorySegment& memory, World& world, SlotIndex slot, uint32_t generation)
    : gate(Gate::OverMemory(memory.memory(), memory.size())), kernel(world.NewKernel()) {
  environment.segment = memory.segment();
  environment.gate = gate.get();
  environment.kernel = kernel.get();
  environment.self = slot;
  environment.generation = generation;
  environment.lock_timeout = std::chrono::seconds(1);
  environment.to_clean.reserve(environment.segment.geometry().max_clients);
  Window window(*gate);
  const StateWord& used = environment.segment.central().slots_used;
  if (used.Load() <= slot) LIGHTNING_ASSERT(window.CompareExchange(used, used.Load(), slot + 1));
  const StateWord& state = environment.segment.slot(slot).state;
  LIGHTNING_ASSERT(window.CompareExchange(state, state.Load(), SlotState{SlotLife::kActive, generation}.Encode()));
}

void Keep(std::shared_ptr<void> thing) {
  static auto* const things = new std::vector<std::shared_ptr<void>>;
  things->push_back(std::move(thing));
}

std::map<std::string, std::string> Content(Client& client) {
  std::map<std::string, std::string> content;
  Result<std::vector<ObjectInfo>> list = client.List();
  if (!list.ok()) return {{"List failed", list.status().ToString()}};
  for (const ObjectInfo& info : *list) content[info.key] = Value(client, info.key);
  return content;
}

std::string Numbered(std::string_view prefix, uint64_t number) {
  std::string name(prefix);
  name += std::to_string(number);
  return name;
}

std::string Value(Client& client, std::string_view key) {
  const Result<Handle> handle = client.Get(key);
  return handle.ok() ? std::string(handle->view()) : CodeName(handle.code());
}

}  // namespace lightning::test
