// Get, put and delete of 1 KB values in a hot set, in each mode.
#include <algorithm>
#include <array>
#include <span>
#include <string>
#include <vector>

#include "bench/measurements.h"
#include "bench/micro.h"
#include "bench/shared_area.h"
#include "bench/workload.h"
#include "bench/zipf.h"

namespace lightning::bench {
namespace {

constexpr uint32_t kHotKeys = 1000;  // also the operations of a batch
constexpr uint64_t kBatchesNs = 15'000'000;

enum Operation : size_t { kGet, kPut, kDelete, kOperations };
constexpr std::array<const char*, kOperations> kNames = {"get", "put", "delete"};

class Small {
 public:
  Small() : keys_(kHotKeys), order_(kHotKeys) {
    Random random(1);
    for (uint32_t i = 0; i < kHotKeys; ++i) order_[i] = i;
    for (uint32_t i = kHotKeys - 1; i > 0; --i) std::swap(order_[i], order_[random.Below(i + 1)]);
    FillValue(value_.words, 1);
  }

  Status PutAll(Client* client) const {
    for (const uint32_t i : order_) {
      const auto put = client->Put(keys_[i], bytes());
      if (!put.ok()) return put.status();
    }
    return {};
  }

  // Samples of one operation in nanoseconds.
  Status Time(Operation operation, Client* client, std::vector<double>* samples) const {
    Status status;
    const auto run = [&](auto one) {
      return TimeBatches(kHotKeys, kBatchesNs, samples, [&] {
        return std::all_of(order_.begin(), order_.end(), [&](uint32_t i) {
          status = one(i);
          return status.ok();
        });
      });
    };
    if (operation == kGet) {
      run([&](uint32_t i) {  // and release
        const auto handle = client->Get(keys_[i]);
        return handle.ok() ? Status() : handle.status();
      });
    } else if (operation == kPut) {
      run([&](uint32_t i) {
        const auto put = client->Put(keys_[i], bytes());
        return put.ok() ? Status() : put.status();
      });
    } else {
      // The puts that make the next batch possible stand outside the clock.
      const uint64_t begin = NowNs();
      for (uint32_t n = 0; status.ok() && (n < 3 || NowNs() - begin < 2 * kBatchesNs); ++n) {
        const uint64_t start = NowNs();
        for (uint32_t k = 0; k < kHotKeys && status.ok(); ++k) status = client->Delete(keys_[order_[k]]);
        samples->push_back(static_cast<double>(NowNs() - start) / kHotKeys);
        if (status.ok()) status = PutAll(client);
      }
    }
    return status;
  }

 private:
  Bytes bytes() const { return std::as_bytes(std::span(value_.words)); }

  const KeyTable keys_;
  std::vector<uint32_t> order_;
  Value value_;
};

std::string RowName(Operation operation) { return std::string(kNames[operation]) + "_1k_ns"; }

std::string RatioName(Operation operation, const std::string& mode) {
  return std::string(kNames[operation]) + "_" + mode + "_over_none";
}

// medians[operation][mode], one sample a round.
using Medians = std::array<std::vector<std::vector<double>>, kOperations>;

void AddRows(const std::vector<ModeClient>& clients, const Medians& medians, Report* report) {
  size_t none = clients.size();
  for (size_t m = 0; m < clients.size(); ++m) {
    if (clients[m].mode == Isolation::kNone) none = m;
  }
  for (size_t o = 0; o < kOperations; ++o) {
    const std::string name = RowName(static_cast<Operation>(o));
    report->Add(name, Median(medians[o][0]));
    for (size_t m = 0; m < clients.size(); ++m) {
      const std::string mode = IsolationName(clients[m].mode);
      if (m > 0) report->Add(name + "_" + mode, Median(medians[o][m]), {}, "ns");
      if (none == clients.size() || m == none) continue;
      std::vector<double> ratio;
      for (size_t r = 0; r < medians[o][m].size(); ++r) ratio.push_back(medians[o][m][r] / medians[o][none][r]);
      report->Add(RatioName(static_cast<Operation>(o), mode), Median(ratio), {}, "ratio");
    }
  }
}

}  // namespace

void MeasureSmall(const Settings& settings, Report* report) {
  std::array<bool, kOperations> wanted{};
  for (size_t o = 0; o < kOperations; ++o) {
    wanted[o] = settings.MayWant(RowName(static_cast<Operation>(o)));
    for (const char* mode : {"mprotect", "keys", "hidden"}) {
      wanted[o] = wanted[o] || settings.Wants(RatioName(static_cast<Operation>(o), mode));
    }
  }
  if (settings.floor_only || std::find(wanted.begin(), wanted.end(), true) == wanted.end()) return;
  const StoreName name("small");
  const Small small;
  Options options = SegmentFor(8 * kHotKeys, kValueSize);
  options.prefault = true;
  std::string error = LoadElsewhere(name.path(), options, [&](Client* client) { return small.PutAll(client); });
  std::string absent;
  std::vector<ModeClient> clients;
  if (error.empty()) clients = ConnectModes(settings, name.path(), &absent, &error);
  Medians medians;
  for (auto& of_operation : medians) of_operation.resize(clients.size());
  PinTo(Cores().back());
  for (uint32_t round = 0; error.empty() && round <= settings.rounds; ++round) {
    for (size_t o = 0; o < kOperations; ++o) {
      for (size_t m = 0; wanted[o] && m < clients.size(); ++m) {
        std::vector<double> samples;
        const Status status = small.Time(static_cast<Operation>(o), &clients[m].client, &samples);
        if (!status.ok() && error.empty()) error = status.ToString();
        if (round > 0) medians[o][m].push_back(Median(samples));  // round 0 warms up
      }
    }
  }
  Unpin();
  if (!absent.empty()) report->Note("isolation modes that this machine lacks, not measured: " + absent);
  for (size_t o = 0; o < kOperations && !error.empty(); ++o) report->Fail(RowName(static_cast<Operation>(o)), error);
  if (error.empty()) AddRows(clients, medians, report);
}

}  // namespace lightning::bench
