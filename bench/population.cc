// One get among many objects against one among few. The same number of hot keys on both sides, put one after the other,
// so that what differs is the store's work and not how much of it the caches hold.
#include <algorithm>
#include <array>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bench/measurements.h"
#include "bench/micro.h"
#include "bench/shared_area.h"
#include "bench/workload.h"

namespace lightning::bench {
namespace {

constexpr uint32_t kFew = 1000;  // also the hot keys, and the operations of a batch
constexpr uint32_t kMany = 10'000'000, kManyQuick = 1'000'000;
constexpr uint64_t kValue = 8;  // bytes
constexpr uint64_t kGetsNs = 15'000'000;

using Key = std::array<char, 16>;
std::string_view MakeKey(uint32_t i, Key* key) {
  const int size = std::snprintf(key->data(), key->size(), "key%010u", i);
  return {key->data(), static_cast<size_t>(size)};
}

std::string Load(const StoreName& name, uint32_t objects) {
  return LoadElsewhere(name.path(), SegmentFor(objects, kValue), [objects](Client* client) {
    const std::array<std::byte, kValue> value{};
    Key key;
    for (uint32_t i = 0; i < objects; ++i) {
      const auto put = client->Put(MakeKey(i, &key), value);
      if (!put.ok()) return put.status();
    }
    return Status();
  });
}

std::optional<Client> Connect(const StoreName& name, Isolation mode, std::string* error) {
  const auto store = Store::Open(name.path(), Attach(mode, true));
  if (!store.ok()) {
    *error = store.status().ToString();
    return std::nullopt;
  }
  auto client = store->Connect();
  if (!client.ok()) {
    *error = client.status().ToString();
    return std::nullopt;
  }
  return *std::move(client);
}

// The median get in nanoseconds over the hot keys, the middle thousand of `objects`.
std::optional<double> TimeGets(Client* client, uint32_t objects) {
  std::vector<std::string> keys;
  Key key;
  for (uint32_t i = 0; i < kFew; ++i) keys.emplace_back(MakeKey(objects / 2 - kFew / 2 + i, &key));
  std::vector<double> samples;
  const bool done = TimeBatches(kFew, kGetsNs, &samples, [&] {
    return std::all_of(keys.begin(), keys.end(), [client](const std::string& k) { return client->Get(k).ok(); });
  });
  return done ? std::optional(Median(samples)) : std::nullopt;
}

std::string Measure(const Settings& settings, uint32_t many, Report* report) {
  const StoreName few_name("few"), many_name("many");
  std::string error = Load(few_name, kFew);
  if (error.empty()) error = Load(many_name, many);
  if (!error.empty()) return error;
  auto few_client = Connect(few_name, settings.mode, &error);
  auto many_client = Connect(many_name, settings.mode, &error);
  if (!few_client || !many_client) return error;
  std::vector<double> few_ns, many_ns, ratio;
  PinTo(Cores().back());
  for (uint32_t round = 0; round <= settings.rounds; ++round) {
    const auto few = TimeGets(&*few_client, kFew), large = TimeGets(&*many_client, many);
    if (!few || !large) error = "a get failed";
    if (!error.empty() || round == 0) continue;  // round 0 warms up
    few_ns.push_back(*few);
    many_ns.push_back(*large);
    ratio.push_back(*large / *few);
  }
  Unpin();
  if (!error.empty()) return error;
  char note[160];
  std::snprintf(note, sizeof note, "%u objects %.0f ns, %u objects %.0f ns", kFew, Median(few_ns), many,
                Median(many_ns));
  report->Add("get_1e7_over_1e3", Median(ratio), note);
  return {};
}

}  // namespace

void MeasurePopulation(const Settings& settings, Report* report) {
  if (settings.floor_only || !settings.MayWant("get_1e7_over_1e3")) return;
  uint32_t many = settings.quick ? kManyQuick : kMany;
  const uint64_t usable = UsableSharedMemory();
  while (many > kFew && SegmentFor(many, kValue).size > usable) many /= 2;
  if (many < (settings.quick ? kManyQuick : kMany)) {
    report->Note("get_1e7_over_1e3: shared memory is too small for more objects than " + std::to_string(many));
  }
  const std::string error = Measure(settings, many, report);
  if (!error.empty()) report->Fail("get_1e7_over_1e3", error);
}

}  // namespace lightning::bench
