// What the gate's operations cost, measured here.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "lightning/isolation.h"
#include "lightning/lightning.h"
#include "pkeys_tests/routes/document.h"
#include "store/client/core.h"
#include "store/gate/process_key.h"
#include "store/segment/segment_file.h"

namespace lightning::routes {
namespace {

// Nanoseconds a call: the best of many rounds, since whatever disturbs a round makes it longer.
double Nanoseconds(int calls, const std::function<void()>& call) {
  double best = 1e18;
  for (int round = 0; round < 40; ++round) {
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < calls; ++i) call();
    const std::chrono::duration<double, std::nano> taken = std::chrono::steady_clock::now() - begin;
    best = std::min(best, taken.count() / calls);
  }
  return best;
}

std::string Format(double nanoseconds) {
  char text[32];
  if (nanoseconds < 10'000) {
    snprintf(text, sizeof text, "%.0f ns", nanoseconds);
  } else {
    snprintf(text, sizeof text, "%.0f µs", nanoseconds / 1000);
  }
  return text;
}

std::string Line(Isolation isolation) {
  const std::string path = "/dev/shm/lightning-costs." + std::to_string(getpid());
  unlink(path.c_str());
  Options options;
  options.size = 16 << 20;
  options.max_objects = 1024;
  options.isolation = isolation;
  Result<Client> client = Store::Open(path, options)->Connect();
  LIGHTNING_ASSERT(client.ok());
  const std::string value(1024, 'v');
  LIGHTNING_ASSERT(client->Put("key", value).ok());
  Gate& gate = ClientCore::Of(*client)->gate();
  const uint64_t heap = ClientCore::Of(*client)->environment().segment.geometry().heap;

  std::string line = "| `" + std::string(IsolationName(isolation)) + "` | ";
  line += Format(Nanoseconds(20'000,
                             [&] {
                               Window window(gate);
                               window.Payload(heap, 8);
                             })) +
          " | ";
  line += Format(Nanoseconds(5000, [&] { static_cast<void>(client->Get("key").ok()); })) + " | ";
  line += Format(Nanoseconds(1000, [&] { static_cast<void>(client->Put("key", value).ok()); })) + " | ";
  line += Format(Nanoseconds(5, [] { static_cast<void>(Audit().ok()); })) + " |\n";
  client->Close();
  unlink(path.c_str());
  return line;
}

}  // namespace

std::string MeasureCosts() {
  std::string table = "| mode | window, opened and closed | get | put of 1 KiB | audit |\n|---|---|---|---|---|\n";
  for (const Isolation mode : {Isolation::kKeys, Isolation::kMprotect, Isolation::kHidden, Isolation::kNone}) {
    if (mode == Isolation::kKeys && !MachineHasKeys()) continue;
    table += Line(mode);
  }
  return table;
}

}  // namespace lightning::routes
