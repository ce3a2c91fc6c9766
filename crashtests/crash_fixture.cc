#include "crashtests/crash_fixture.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace lightning::crash {

uint64_t ChanceSeed() {
  const char* seed = getenv("LIGHTNING_CRASH_SEED");
  return seed != nullptr ? strtoull(seed, nullptr, 10) : 20'240'901;
}

void CrashTest::Open(Options options) {
  survivor_.reset();
  bystander_.reset();
  probe_.reset();
  static_cast<void>(Store::Remove(name_.path()).ok());
  if (options.size == Options().size) options.size = 4 << 20;
  options.max_objects = 1024;  // each client keeps some at hand
  options.max_clients = std::min(options.max_clients, 8u);
  options.max_pins = 64;
  options.event_slots = 16;
  options.lock_timeout = kDeadline;
  options_ = options;
  const Result<Store> store = Store::Open(name_.path(), options);
  ASSERT_TRUE(store.ok()) << store.status().ToString();
  probe_ = std::make_unique<SegmentProbe>(name_.path());
  for (std::unique_ptr<Client>* client : {&bystander_, &survivor_}) {
    Result<Client> connected = store->Connect();
    ASSERT_TRUE(connected.ok()) << connected.status().ToString();
    *client = std::make_unique<Client>(std::move(*connected));
  }
  bystander_slot_ = 0;
}

std::unique_ptr<ClientProcess> CrashTest::StartClient() {
  auto process = std::make_unique<ClientProcess>(
      std::vector<std::string>{name_.path(), "--timeout", std::to_string(kDeadline.count())});
  const std::string answer = process->Ask("attach");
  EXPECT_EQ(answer.substr(0, 3), "ok ") << answer;
  return process;
}

std::optional<uint64_t> CrashTest::Read(const std::string& key) {
  const Result<Handle> handle = survivor_->Get(key);
  if (!handle.ok()) {
    EXPECT_EQ(handle.code(), Code::kNotFound) << key << ": " << handle.status().ToString();
    return std::nullopt;
  }
  const std::optional<uint64_t> seed = SeedOf(handle->bytes());
  EXPECT_TRUE(seed.has_value()) << key << " is torn";
  return seed;
}

Stats CrashTest::GetStats() {
  Result<Stats> stats = survivor_->GetStats();
  EXPECT_TRUE(stats.ok()) << stats.status().ToString();
  return stats.ok() ? *stats : Stats();
}

void CrashTest::ExpectSound() {
  const CheckReport report = survivor_->Check();
  EXPECT_TRUE(report.ok) << (report.violations.empty() ? "busy" : report.violations.front());
  const auto list = survivor_->List();
  ASSERT_TRUE(list.ok()) << list.status().ToString();
  uint64_t bytes = 0;
  for (const ObjectInfo& info : *list) bytes += (info.size + kGranule - 1) / kGranule * kGranule;
  const Stats stats = GetStats();
  EXPECT_EQ(stats.objects, list->size());
  EXPECT_EQ(stats.bytes_retired, 0u);
  EXPECT_EQ(stats.bytes_used, bytes);
  EXPECT_EQ(stats.bytes_free, stats.bytes_total - bytes);
  EXPECT_EQ(stats.clients, 2u);
  EXPECT_EQ(probe_->Count(SlotLife::kActive), 2);
  EXPECT_EQ(probe_->Count(SlotLife::kFree), static_cast<int>(options_.max_clients) - 2);
}

void CrashTest::ExpectNothingLeaks() {
  const auto list = survivor_->List();
  ASSERT_TRUE(list.ok()) << list.status().ToString();
  for (const ObjectInfo& info : *list) EXPECT_TRUE(survivor_->Delete(info.key).ok()) << info.key;
  const Result<RecoveryReport> report = survivor_->Recover();
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  const Stats stats = GetStats();
  EXPECT_EQ(stats.objects, 0u);
  EXPECT_EQ(stats.bytes_free, stats.bytes_total);
  EXPECT_EQ(stats.largest_free, stats.bytes_total);
}

void CrashTest::ReportHealTimes() {
  if (heal_times_.empty()) return;
  std::sort(heal_times_.begin(), heal_times_.end());
  const auto median = static_cast<double>(heal_times_[heal_times_.size() / 2].count()) / 1000;
  RecordProperty("heal_us_median", std::to_string(median));
  printf("the next operation after a death: median %.0f us of %zu\n", median, heal_times_.size());
}

}  // namespace lightning::crash
