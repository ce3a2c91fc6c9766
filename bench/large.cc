// Replacing puts of 64 KiB, 1 MiB and 64 MiB, against memcpy of the same bytes between warm shared areas.
#include <cstring>
#include <string>
#include <vector>

#include "bench/measurements.h"
#include "bench/micro.h"
#include "bench/shared_area.h"

namespace lightning::bench {
namespace {

struct Size {
  const char* name;
  uint64_t bytes;
  uint32_t batch;      // operations in a sample
  uint64_t budget_ns;  // of one side in one round
};
constexpr Size kSizes[] = {{"64k", uint64_t{64} << 10, 64, 20'000'000},
                           {"1m", uint64_t{1} << 20, 8, 30'000'000},
                           {"64m", uint64_t{64} << 20, 1, 40'000'000}};
constexpr uint64_t kLargest = uint64_t{64} << 20;

std::string RowName(const Size& size) { return std::string("put_") + size.name + "_over_memcpy"; }

// Keeps the copies of a batch from being merged into one.
void Escape(void* memory) { asm volatile("" : : "r"(memory) : "memory"); }

class Large {
 public:
  Large(const Settings& settings, Report* report)
      : settings_(settings), report_(report), name_("large"), source_(kLargest), target_(kLargest) {}

  void Measure() {
    std::string error = Make();
    PinTo(Cores().back());
    for (const Size& size : kSizes) {
      if (!settings_.MayWant(RowName(size)) && !settings_.MayWant(std::string("memcpy_") + size.name)) continue;
      if (error.empty()) error = MeasureSize(size);
      if (!error.empty()) report_->Fail(RowName(size), error);
    }
    Unpin();
  }

 private:
  std::string Make() {
    for (const SharedArea* area : {&source_, &target_}) {
      if (area->data() == nullptr) return area->error();
      area->Populate();
    }
    std::memset(source_.data(), 0x5A, kLargest);
    if (settings_.floor_only) return {};
    // A replacing put needs room for the old and the new value, and each size keeps its own key.
    Options options = SegmentFor(4, kLargest);
    options.size = 4 * kLargest;
    options.max_objects = 1024;
    options.prefault = true;
    std::string absent;
    std::string error = LoadElsewhere(name_.path(), options, [this](Client* client) {
      for (const Size& size : kSizes) {
        const auto put = client->Put(size.name, Bytes(source_.data(), size.bytes));
        if (!put.ok()) return put.status();
      }
      return Status();
    });
    if (error.empty()) clients_ = ConnectModes(settings_, name_.path(), &absent, &error);
    return error;
  }

  std::string MeasureSize(const Size& size) {
    const size_t modes = clients_.size();
    std::vector<double> memcpy_ns;
    std::vector<std::vector<double>> put_ns(modes), ratio(modes);
    for (uint32_t round = 0; round <= settings_.rounds; ++round) {
      std::vector<double> floor;
      TimeBatches(size.batch, size.budget_ns, &floor, [&] { return Copy(size); });
      if (round > 0) memcpy_ns.push_back(Median(floor));  // round 0 warms up
      for (size_t m = 0; m < modes; ++m) {
        std::vector<double> samples;
        Status status;
        const bool done = TimeBatches(size.batch, size.budget_ns, &samples, [&] {
          for (uint32_t i = 0; i < size.batch; ++i) {
            const auto put = clients_[m].client.Put(size.name, Bytes(source_.data(), size.bytes));
            if (put.ok()) continue;
            status = put.status();
            return false;
          }
          return true;
        });
        if (!done) return status.ToString();
        if (round == 0) continue;
        put_ns[m].push_back(Median(samples));
        ratio[m].push_back(put_ns[m].back() / memcpy_ns.back());
      }
    }
    report_->Add(std::string("memcpy_") + size.name + "_ns", Median(memcpy_ns), {}, "ns");
    for (size_t m = 0; m < modes; ++m) {
      const std::string suffix = m == 0 ? "" : std::string("_") + IsolationName(clients_[m].mode);
      report_->Add(RowName(size) + suffix, Median(ratio[m]),
                   std::to_string(static_cast<uint64_t>(Median(put_ns[m]))) + " ns", "ratio");
    }
    return {};
  }

  bool Copy(const Size& size) {
    for (uint32_t i = 0; i < size.batch; ++i) {
      std::memcpy(target_.data(), source_.data(), size.bytes);
      Escape(target_.data());
    }
    return true;
  }

  const Settings& settings_;
  Report* report_;
  const StoreName name_;
  const SharedArea source_, target_;
  std::vector<ModeClient> clients_;
};

}  // namespace

void MeasureLarge(const Settings& settings, Report* report) {
  bool wanted = false;
  for (const Size& size : kSizes) {
    wanted = wanted || settings.MayWant(RowName(size)) || settings.MayWant(std::string("memcpy_") + size.name);
  }
  if (wanted) Large(settings, report).Measure();
}

}  // namespace lightning::bench
