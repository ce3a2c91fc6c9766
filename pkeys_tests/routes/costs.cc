#include "pkeys_tests/routes/costs.h"

#include <sys/mman.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <thread>

#include "lightning/isolation.h"
#include "lightning/lightning.h"
#include "store/client/core.h"
#include "store/gate/process_key.h"
#include "store/segment/segment_file.h"

namespace lightning::routes {
namespace {

// Nanoseconds a call: the best of many rounds, since whatever disturbs a round makes it longer.
double Nanoseconds(int calls, const std::function<void()>& call, int rounds = 40) {
  double best = 1e18;
  for (int round = 0; round < rounds; ++round) {
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < calls; ++i) call();
    const std::chrono::duration<double, std::nano> taken = std::chrono::steady_clock::now() - begin;
    best = std::min(best, taken.count() / calls);
  }
  return best;
}

// Of a deed that nothing undoes: each time in a process of its own.
double InChildren(const std::function<bool(double*)>& deed) {
  void* const place = mmap(nullptr, sizeof(double), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  LIGHTNING_ASSERT(place != MAP_FAILED);
  auto* const taken = static_cast<double*>(place);
  double best = 1e18;
  bool can = true;
  for (int round = 0; round < 15 && can; ++round) {
    const pid_t child = fork();
    if (child == 0) _exit(deed(taken) ? 0 : 1);
    int status = 0;
    can = waitpid(child, &status, 0) == child && status == 0;
    if (can) best = std::min(best, *taken);
  }
  munmap(place, sizeof(double));
  return can ? best : 0;
}

std::string Machine() {
  std::ifstream cpuinfo("/proc/cpuinfo");
  std::string name = "x86-64", flags;
  for (std::string line; std::getline(cpuinfo, line) && !line.empty();) {
    if (line.starts_with("model name")) name = line.substr(line.find(": ") + 2);
    if (line.starts_with("flags")) flags = line + " ";
  }
  if (flags.find(" hypervisor ") != std::string::npos) name += ", virtual";
  return name + ", " + std::to_string(std::thread::hardware_concurrency()) + " processors";
}

class Measurer {
 public:
  explicit Measurer(Isolation isolation) : isolation_(isolation) {
    utsname system;
    uname(&system);
    const std::string release = system.release;
    const time_t now = time(nullptr);
    char date[16];
    strftime(date, sizeof date, "%Y-%m-%d", gmtime(&now));
    about_.machine = Machine();
    about_.date = date;
    about_.kernel = release.substr(0, release.find_first_not_of("0123456789."));
    about_.mode = IsolationName(isolation);
  }
  ~Measurer() { unlink(path_.c_str()); }
  Measurer(const Measurer&) = delete;
  Measurer& operator=(const Measurer&) = delete;

  std::vector<Cost> Run() {
    unlink(path_.c_str());
    client_ = std::make_unique<Client>(std::move(*Connect(false)));
    LIGHTNING_ASSERT(client_->Put("key", value_).ok());
    Windows();
    Operations();
    client_.reset();
    Attaching();
    return std::move(costs_);
  }

 private:
  Result<Client> Connect(bool seal) const {
    Options options;
    options.size = 16 << 20;
    options.max_objects = 1024;
    options.isolation = isolation_;
    options.seal = seal;
    return Store::Open(path_, options)->Connect();
  }
  void Add(const char* operation, double ns) {
    Cost cost = about_;
    cost.operation = operation;
    cost.ns = ns;
    if (ns > 0) costs_.push_back(std::move(cost));
  }

  void Windows() {
    Gate& gate = ClientCore::Of(*client_)->gate();
    const uint64_t heap = ClientCore::Of(*client_)->environment().segment.geometry().heap;
    const auto window = [&](uint64_t pages) {
      return [&gate, heap, pages] {
        Window opened(gate);
        for (uint64_t page = 0; page < pages; ++page) opened.Payload(heap + 2 * page * kPageSize, 8);
      };
    };
    Add("a window, opened and closed, that touches one page", Nanoseconds(5000, window(1)));
    Add("a window that touches four pages", Nanoseconds(2000, window(4)));
    {
      Window opened(gate);
      Add("a window with one page suspended and resumed", Nanoseconds(5000, [&] {
            opened.Payload(heap, 8);
            opened.Suspend();
            opened.Resume();
          }));
    }
    Add("the look at the entry of an operation", Nanoseconds(100'000, [&] {
          // As an operation does it; the second one with its turn.
          if (!gate.CheckEntry().ok() || gate.FindsWindowLeftOpen()) abort();
        }));
    Add("64 KiB exposed for a creator and taken back", Nanoseconds(500, [&] {
          Result<std::span<std::byte>> exposed = gate.Expose(heap, 64 << 10);
          if (exposed.ok()) gate.Unexpose(*exposed);
        }));
  }

  void Operations() {
    Add("get", Nanoseconds(5000, [&] { static_cast<void>(client_->Get("key").ok()); }));
    Add("put of 1 KiB", Nanoseconds(500, [&] { static_cast<void>(client_->Put("key", value_).ok()); }));
    Add("create, seal and delete of 100 KiB", Nanoseconds(50, [&] {
          Result<Writer> writer = client_->Create("created", 100 << 10);
          LIGHTNING_ASSERT(writer.ok() && writer->Seal().ok() && client_->Delete("created").ok());
        }));
    Add("audit", Nanoseconds(5, [] { static_cast<void>(Audit().ok()); }));
  }

  void Attaching() {
    using Clock = std::chrono::steady_clock;
    const auto since = [](Clock::time_point begin) {
      return std::chrono::duration<double, std::nano>(Clock::now() - begin).count();
    };
    Add("attach", InChildren([&](double* taken) {
          const Clock::time_point begin = Clock::now();
          const Result<Client> client = Connect(false);
          *taken = since(begin);
          return client.ok();
        }));
    Add("attach with `Options::seal`", InChildren([&](double* taken) {
          const Clock::time_point begin = Clock::now();
          const Result<Client> client = Connect(true);
          *taken = since(begin);
          return client.ok();
        }));
    Add("`Harden`", InChildren([&](double* taken) {
          const Result<Client> client = Connect(false);
          if (!client.ok()) return false;
          const Clock::time_point begin = Clock::now();
          const bool done = Harden().ok();
          *taken = since(begin);
          return done;
        }));
  }

  const Isolation isolation_;
  const std::string path_ = "/dev/shm/lightning-costs." + std::to_string(getpid());
  const std::string value_ = std::string(1024, 'v');
  Cost about_;
  std::vector<Cost> costs_;
  std::unique_ptr<Client> client_;
};

}  // namespace

std::vector<Cost> MeasureCosts() {
  std::vector<Cost> all;
  for (const Isolation mode : {Isolation::kKeys, Isolation::kMprotect, Isolation::kHidden, Isolation::kNone}) {
    if (mode == Isolation::kKeys && (!MachineHasKeys() || std::getenv("LIGHTNING_EMULATED") != nullptr)) continue;
    const std::vector<Cost> its = Measurer(mode).Run();
    all.insert(all.end(), its.begin(), its.end());
  }
  return all;
}

}  // namespace lightning::routes
