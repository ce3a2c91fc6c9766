// How long a survivor's Recover() takes after a client was killed at work, with few and with many objects in the store.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <deque>
#include <new>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "bench/driver.h"
#include "bench/measurements.h"
#include "bench/micro.h"
#include "bench/shared_area.h"
#include "bench/zipf.h"

namespace lightning::bench {
namespace {

constexpr uint64_t kSmallValue = 64;  // bytes of the objects that are there already
constexpr uint32_t kVictimKeys = 64;  // at most so many more, of up to 4 KiB
constexpr size_t kHeldHandles = 8;    // pins a victim dies with

struct Population {
  const char* suffix;
  uint32_t objects;
};
constexpr Population kPopulations[] = {{"_1e3", 1'000}, {"", 100'000}, {"_1e6", 1'000'000}};

// Puts, gets, deletes and unsealed objects, until killed.
[[noreturn]] void LiveAndDie(const std::string& path, Isolation mode, uint64_t seed, std::atomic<uint32_t>* ready) {
  const auto store = Store::Open(path, Attach(mode, false));
  if (!store.ok()) _exit(1);
  auto client = store->Connect();
  if (!client.ok()) _exit(1);
  Random random(seed);
  std::deque<Handle> held;
  const std::vector<std::byte> bytes(4096, std::byte{7});
  for (uint32_t n = 0;; ++n) {
    const std::string key = "victim" + std::to_string(random.Below(kVictimKeys));
    const uint32_t size = 1 + random.Below(4096);
    switch (random.Below(8)) {
      case 0:
      case 1: {
        auto handle = client->Get(key);
        if (handle.ok()) held.push_back(*std::move(handle));
        if (held.size() > kHeldHandles) held.pop_front();
        break;
      }
      case 2:
        (void)client->Delete(key);
        break;
      case 3: {
        auto writer = client->Create(key, size);  // aborted at the end of the scope, or by the survivor
        if (writer.ok() && random.Below(2) == 0) (void)writer->Seal();
        break;
      }
      default:
        (void)client->Put(key, std::span(bytes).first(size));
    }
    if (n == 200) ready->store(1);
  }
}

struct Samples {
  std::vector<double> with_victim, idle;  // microseconds of one Recover()
  uint32_t healed_by_others = 0;          // tries that found nobody to recover
};

class Recovery {
 public:
  Recovery(const Settings& settings, Report* report)
      : settings_(settings), report_(report), flag_memory_(sizeof(std::atomic<uint32_t>)) {}

  std::string Measure(const Population& population, Samples* samples) {
    if (flag_memory_.data() == nullptr) return flag_memory_.error();
    const StoreName name("recovery");
    Options options = SegmentFor(population.objects + kVictimKeys, kSmallValue);
    options.size += uint64_t{16} << 20;
    if (options.size > UsableSharedMemory()) return "not enough shared memory for " + std::to_string(options.size);
    std::string error = LoadElsewhere(name.path(), options, [&](Client* client) {
      const std::vector<std::byte> value(kSmallValue);
      for (uint32_t i = 0; i < population.objects; ++i) {
        const auto put = client->Put("key" + std::to_string(i), value);
        if (!put.ok()) return put.status();
      }
      return Status();
    });
    if (!error.empty()) return error;
    const auto store = Store::Open(name.path(), Attach(settings_.mode, false));
    if (!store.ok()) return store.status().ToString();
    auto survivor = store->Connect();
    if (!survivor.ok()) return survivor.status().ToString();
    const uint32_t tries = settings_.quick ? 40 : 20 * settings_.rounds;
    for (uint32_t i = 0; i < tries && error.empty(); ++i) error = Try(name.path(), i, &*survivor, samples);
    const CheckReport check = error.empty() ? survivor->Check() : CheckReport{};
    for (const std::string& text : check.violations) report_->Violation("after recoveries: " + text);
    return error;
  }

 private:
  // One victim: killed within its first two milliseconds of work, and reaped, before the clock starts.
  std::string Try(const std::string& path, uint32_t number, Client* survivor, Samples* samples) {
    auto* ready = new (flag_memory_.data()) std::atomic<uint32_t>(0);
    std::fflush(nullptr);
    const pid_t parent = getpid();
    const pid_t pid = fork();
    if (pid < 0) return "fork failed";
    if (pid == 0) {
      DieWithParent(parent);
      LiveAndDie(path, settings_.mode, number, ready);
    }
    int status = 0;
    while (ready->load() == 0) {
      if (waitpid(pid, &status, WNOHANG) == pid) return "the victim ended by itself, status " + std::to_string(status);
      usleep(50);
    }
    usleep(random_.Below(2000));
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    const uint64_t start = NowNs();
    const auto report = survivor->Recover();
    const uint64_t end = NowNs();
    const auto again = survivor->Recover();
    const uint64_t idle_end = NowNs();
    if (!report.ok()) return report.status().ToString();
    if (!again.ok()) return again.status().ToString();
    samples->idle.push_back(static_cast<double>(idle_end - end) / 1000);
    if (report->recovered == 1) {
      samples->with_victim.push_back(static_cast<double>(end - start) / 1000);
    } else {
      ++samples->healed_by_others;
    }
    return {};
  }

  const Settings& settings_;
  Report* report_;
  const SharedArea flag_memory_;
  Random random_{11};
};

}  // namespace

void MeasureRecovery(const Settings& settings, Report* report) {
  if (settings.floor_only || !settings.MayWant("recovery_us")) return;
  for (const Population& population : kPopulations) {
    const std::string name = std::string("recovery_us") + population.suffix;
    if (!settings.MayWant(name)) continue;
    Samples samples;
    std::string error = Recovery(settings, report).Measure(population, &samples);
    if (error.empty() && samples.with_victim.empty()) error = "no Recover() found a dead client";
    if (!error.empty()) {
      report->Fail(name, error);
      continue;
    }
    char note[160];
    std::snprintf(note, sizeof note, "%zu deaths, %u objects, worst %.0f us, %.1f us with nobody dead",
                  samples.with_victim.size(), population.objects,
                  *std::max_element(samples.with_victim.begin(), samples.with_victim.end()), Median(samples.idle));
    report->Add(name, Median(samples.with_victim), note, "us");
    if (samples.healed_by_others > 0) {
      report->Note(name + ": " + std::to_string(samples.healed_by_others) + " deaths left nothing to recover");
    }
  }
}

}  // namespace lightning::bench
