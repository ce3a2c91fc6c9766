// lightning-bench: what the store costs, as ratios to floors that are measured in the same run. bench/README.md tells
// what each row is.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <string>

#include "bench/driver.h"
#include "bench/measurements.h"
#include "bench/report.h"
#include "bench/settings.h"
#include "bench/shared_area.h"
#include "lightning/client.h"

namespace lightning::bench {
namespace {

constexpr int kFailure = 1, kUsage = 2, kCannotRun = 77;
constexpr uint64_t kNeededMemory = uint64_t{900} << 20;  // bytes of /dev/shm, for the largest group but the 1e7 objects

// Why the asked-for mode cannot run here, or empty.
std::string ProbeMode(Isolation mode) {
  const StoreName name("probe");
  Options options;
  options.size = uint64_t{16} << 20;
  options.max_objects = 1024;
  options.isolation = mode;
  const auto store = Store::Open(name.path(), options);
  if (!store.ok()) return store.status().ToString();
  const auto client = store->Connect();
  if (!client.ok()) return client.status().ToString();
  return client->isolation() == mode ? "" : "the store chose another mode";
}

void Measure(const Settings& settings, Report* report) {
  const struct {
    const char* what;
    void (*measure)(const Settings&, Report*);
  } steps[] = {{"YCSB and scaling", MeasureYcsb},
               {"get, put, delete of 1 KB", MeasureSmall},
               {"large puts", MeasureLarge},
               {"recovery", MeasureRecovery},
               {"many objects", MeasurePopulation}};
  for (const auto& step : steps) {
    const uint64_t start = NowNs();
    if (isatty(STDERR_FILENO)) std::fprintf(stderr, "measuring: %s ...\n", step.what);
    step.measure(settings, report);
    const double seconds = static_cast<double>(NowNs() - start) * 1e-9;
    if (isatty(STDERR_FILENO)) std::fprintf(stderr, "measuring: %s done, %.1f s\n", step.what, seconds);
  }
}

int Run(const Settings& settings, const std::string& json) {
  const Guardian guardian;
  if (UsableSharedMemory() < kNeededMemory) {
    std::fprintf(stderr, "lightning-bench: cannot run here: /dev/shm has less than %llu MiB to give\n",
                 static_cast<unsigned long long>(kNeededMemory >> 20));
    return kCannotRun;
  }
  if (!settings.floor_only) {
    const std::string why = ProbeMode(settings.mode);
    if (!why.empty()) {
      std::fprintf(stderr, "lightning-bench: cannot run here in mode %s: %s\n", IsolationName(settings.mode),
                   why.c_str());
      return kCannotRun;
    }
  }
  std::printf("lightning-bench: headline rows in mode %s (targets are stated for mode none), %zu cores, %u rounds%s\n",
              IsolationName(settings.mode), Cores().size(), settings.rounds, settings.quick ? ", quick" : "");
  Report report(settings);
  report.AddText("isolation", IsolationName(settings.mode));
  Measure(settings, &report);
  report.PrintTable();
  if (!json.empty() && !report.WriteJson(json)) {
    std::fprintf(stderr, "lightning-bench: cannot write %s\n", json.c_str());
    return kFailure;
  }
  return report.failed() ? kFailure : 0;
}

int Main(int argc, char** argv) {
  CLI::App app(
      "Measures the store beside floors that cost nothing for safety (memcpy, an array of seqlocks).\n"
      "Example: lightning-bench --quick --only ycsb_a get_1k_ns\n"
      "Exit codes: 0 measured (targets may be missed), 1 something failed or data was wrong, 2 wrong usage, 77 cannot "
      "run here.");
  Settings settings;
  std::string json, mode = "none";
  uint32_t rounds = 0;
  app.add_option("--json", json, "Write the rows to this file")->type_name("FILE");
  app.add_flag("--quick", settings.quick, "Under a minute in all: shorter slices, fewer objects");
  app.add_option("--mode", mode, "Isolation of the headline rows")
      ->check(CLI::IsMember({"keys", "mprotect", "hidden", "none"}))
      ->capture_default_str();
  app.add_option("--only", settings.only, "Only rows whose names begin so")->type_name("NAME");
  app.add_option("--repeat", rounds, "Interleaved rounds, of which medians are taken (quick 7, else 15)")
      ->check(CLI::Range(1, 99))
      ->type_name("N");
  app.add_flag("--floor-only", settings.floor_only, "Measure the floors alone");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kUsage;
  }
  ParseIsolation(mode.c_str(), &settings.mode);
  if (settings.quick) settings.slice = std::chrono::milliseconds(50);
  settings.rounds = rounds > 0 ? rounds : settings.quick ? 7 : 15;
  return Run(settings, json);
}

}  // namespace
}  // namespace lightning::bench

int main(int argc, char** argv) { return lightning::bench::Main(argc, argv); }
