// The measuring instruments themselves: the floor, the key choosers, the driver, the report. Nothing here looks at
// time.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <vector>

#include "bench/driver.h"
#include "bench/report.h"
#include "bench/shared_area.h"
#include "bench/workload.h"
#include "bench/ycsb_worker.h"
#include "bench/zipf.h"

namespace lightning::bench {
namespace {

constexpr uint32_t kRecords = 512;

struct Floor {
  Floor() : keys(kRecords), memory(SeqlockTable::BytesFor(kRecords)), table(memory.data(), kRecords) {
    Value value;
    for (uint32_t i = 0; i < kRecords; ++i) {
      FillValue(value.words, MakeStamp(i, 0));
      table.Load(keys[i], value.words);
    }
  }
  KeyTable keys;
  SharedArea memory;
  SeqlockTable table;
};

TEST(Value, RecognisesTornAndMisplacedValues) {
  Value value, other;
  uint64_t stamp = 0;
  FillValue(value.words, MakeStamp(7, 41));
  EXPECT_TRUE(CheckValue(value.words, 7, &stamp));
  EXPECT_EQ(stamp, MakeStamp(7, 41));
  EXPECT_FALSE(CheckValue(value.words, 8, &stamp));
  FillValue(other.words, MakeStamp(7, 42));
  for (size_t torn_at = 1; torn_at < kValueWords; ++torn_at) {
    Value mixed = value;
    std::copy(other.words + torn_at, other.words + kValueWords, mixed.words + torn_at);
    EXPECT_FALSE(CheckValue(mixed.words, 7, &stamp)) << torn_at;
  }
}

TEST(Floor, FindsWhatWasLoadedAndNothingElse) {
  Floor floor;
  FloorSide side(floor.table, &floor.keys);
  for (uint32_t i = 0; i < kRecords; ++i) {
    uint64_t stamp = 0;
    EXPECT_EQ(side.Read(i, &stamp), Outcome::kDone);
    EXPECT_EQ(stamp, MakeStamp(i, 0));
  }
  EXPECT_EQ(floor.table.Find("user0000000000000000000"), nullptr);
}

TEST(Floor, ErasedRecordsAreMissingUntilWritten) {
  Floor floor;
  FloorSide side(floor.table, &floor.keys);
  uint64_t stamp = 0;
  EXPECT_EQ(side.Erase(3), Outcome::kDone);
  EXPECT_EQ(side.Erase(3), Outcome::kMissing);
  EXPECT_EQ(side.Read(3, &stamp), Outcome::kMissing);
  EXPECT_EQ(side.Increment(3), Outcome::kMissing);
  EXPECT_EQ(side.Write(3, MakeStamp(3, 9)), Outcome::kDone);
  EXPECT_EQ(side.Read(3, &stamp), Outcome::kDone);
  EXPECT_EQ(stamp, MakeStamp(3, 9));
}

// Hammers two records of the floor; an operation that tears or loses shows in the counts.
class Hammer : public Worker {
 public:
  explicit Hammer(const Floor& floor) : side_(floor.table, &floor.keys) {}
  std::string Prepare() override { return {}; }
  std::string Run(const Phase&, uint64_t deadline, Counts* counts) override {
    do {
      uint64_t stamp = 0;
      const auto index = static_cast<uint32_t>(counts->ops % 2);
      counts->torn += side_.Read(index, &stamp) == Outcome::kTorn ? 1 : 0;
      counts->increments += side_.Increment(index) == Outcome::kDone ? 1 : 0;
      ++counts->ops;
    } while (NowNs() < deadline);
    return {};
  }

 private:
  FloorSide side_;
};

TEST(Floor, ProcessesTearNothingAndLoseNoUpdate) {
  Floor floor;
  Group group;
  group.procs = 4;
  group.slice = std::chrono::milliseconds(100);
  group.phases = {{0, 0, 4}};
  const GroupResult result = RunGroup(group, [&](uint32_t) { return std::make_unique<Hammer>(floor); });
  ASSERT_EQ(result.error, "");
  EXPECT_GT(result.Sum().increments, 0u);
  EXPECT_EQ(result.Sum().torn, 0u);
  FloorSide side(floor.table, &floor.keys);
  uint64_t sum = 0, stamp = 0;
  for (uint32_t i : {0u, 1u}) {
    ASSERT_EQ(side.Read(i, &stamp), Outcome::kDone);
    sum += stamp & kStampMask;
  }
  EXPECT_EQ(sum, result.Sum().increments);
}

TEST(Zipf, FirstRankHasItsShare) {
  constexpr int kDraws = 400'000;
  Random random(5);
  const Zipfian zipfian(1000);
  double zeta = 0;
  for (int i = 1; i <= 1000; ++i) zeta += 1 / std::pow(i, kZipfTheta);
  int first = 0, second = 0;
  for (int i = 0; i < kDraws; ++i) {
    const uint64_t rank = zipfian.Next(&random);
    ASSERT_LT(rank, 1000u);
    first += rank == 0 ? 1 : 0;
    second += rank == 1 ? 1 : 0;
  }
  EXPECT_NEAR(first, kDraws / zeta, 0.03 * kDraws / zeta);
  EXPECT_NEAR(second, kDraws / zeta / std::pow(2, kZipfTheta), 0.05 * kDraws / zeta);
}

TEST(Workload, SequencesKeepToTheirKeysAndShares) {
  for (const Workload workload : {Workload::kA, Workload::kB, Workload::kC, Workload::kD, Workload::kF}) {
    const std::vector<Op> sequence = MakeSequence(workload, 1, 2, 1);
    double writes = 0;
    for (const Op op : sequence) {
      ASSERT_LT(op.key, workload == Workload::kD ? LiveSize(2) : kKeys);
      ASSERT_LT(op.owner, 2u);
      writes += op.write;
    }
    const double share = workload == Workload::kC                               ? 0
                         : workload == Workload::kA || workload == Workload::kF ? 0.5
                                                                                : 0.05;
    EXPECT_NEAR(writes / static_cast<double>(sequence.size()), share, 0.005) << WorkloadLetter(workload);
  }
  for (const Op op : MakeSequence(Workload::kDisjoint, 2, 4, 1)) {
    ASSERT_GE(op.key, kKeys / 2);
    ASSERT_LT(op.key, kKeys / 4 * 3);
  }
}

// Says what it is told to, so that the driver's handling can be seen.
class Scripted : public Worker {
 public:
  Scripted(uint32_t proc, std::string mishap) : proc_(proc), mishap_(std::move(mishap)) {}
  std::string Prepare() override { return mishap_ == "unprepared" ? "no store here" : ""; }
  std::string Run(const Phase& phase, uint64_t, Counts* counts) override {
    if (mishap_ == "crash" && proc_ == 1) std::abort();
    if (mishap_ == "error" && proc_ == 0) return "the store refused";
    counts->ops = 100 * phase.workload + proc_ + 1;
    return {};
  }

 private:
  const uint32_t proc_;
  const std::string mishap_;
};

GroupResult RunScripted(const std::string& mishap) {
  Group group;
  group.procs = 3;
  group.slice = std::chrono::milliseconds(1);
  group.phases = {{0, 1, 3}, {1, 2, 1}, {0, 3, 2}};
  return RunGroup(group, [&](uint32_t proc) { return std::make_unique<Scripted>(proc, mishap); });
}

TEST(Driver, CountsEachPhaseOfEachActiveProcess) {
  const GroupResult result = RunScripted("");
  ASSERT_EQ(result.error, "");
  ASSERT_EQ(result.counts.size(), 3u);
  EXPECT_EQ(result.counts[0][0].ops, 101u);
  EXPECT_EQ(result.counts[0][2].ops, 103u);
  EXPECT_EQ(result.counts[1][0].ops, 201u);
  EXPECT_EQ(result.counts[1][1].ops, 0u);
  EXPECT_EQ(result.counts[2][1].ops, 302u);
  EXPECT_EQ(result.counts[2][2].ops, 0u);
}

TEST(Driver, ReportsErrorsAndDeathsInsteadOfHanging) {
  EXPECT_EQ(RunScripted("unprepared").error, "no store here");
  EXPECT_EQ(RunScripted("error").error, "the store refused");
  EXPECT_EQ(RunScripted("crash").error, "process 1 died of signal 6");
}

TEST(Report, JudgesByDirectionAndWritesTheFixedFields) {
  const Settings settings;
  Report report(settings);
  report.AddText("isolation", "none");
  report.Add("ycsb_a_1", 0.7);
  report.Add("ycsb_a_2", 0.69);
  report.Add("get_1k_ns", 100);
  report.Add("put_1k_ns", 351);
  report.Add("further", 5, "a note", "ns");
  EXPECT_FALSE(report.failed());
  report.Fail("delete_1k_ns", "it broke");
  EXPECT_TRUE(report.failed());
  const std::string path = ::testing::TempDir() + "/bench_report_" + std::to_string(getpid()) + ".json";
  ASSERT_TRUE(report.WriteJson(path));
  const auto rows = nlohmann::json::parse(std::ifstream(path));
  std::remove(path.c_str());
  ASSERT_EQ(rows.size(), 7u);
  EXPECT_EQ(rows[0]["value"], "none");
  EXPECT_EQ(rows[1]["met"], true);
  EXPECT_EQ(rows[2]["met"], false);
  EXPECT_EQ(rows[3]["met"], true);
  EXPECT_EQ(rows[3]["target"], 100);
  EXPECT_EQ(rows[4]["met"], false);
  EXPECT_TRUE(rows[5]["target"].is_null());
  EXPECT_TRUE(rows[6]["value"].is_null());
  EXPECT_EQ(rows[6]["met"], false);
  for (const auto& row : rows) {
    for (const char* field : {"name", "value", "unit", "target"}) EXPECT_TRUE(row.contains(field)) << field;
  }
}

TEST(Report, MedianOfOddAndEven) {
  EXPECT_EQ(Median({3, 1, 2}), 2);
  EXPECT_EQ(Median({4, 1, 2, 3}), 2.5);
  EXPECT_TRUE(std::isnan(Median({})));
}

TEST(Report, OnlyChoosesByPrefix) {
  Settings settings;
  settings.only = {"ycsb_a", "get_1k_ns_mprotect"};
  EXPECT_TRUE(settings.Wants("ycsb_a_1"));
  EXPECT_FALSE(settings.Wants("ycsb_b_1"));
  EXPECT_FALSE(settings.Wants("get_1k_ns"));
  EXPECT_TRUE(settings.MayWant("get_1k_ns"));
  Report report(settings);
  report.Fail("ycsb_b_1", "not asked for");
  EXPECT_FALSE(report.failed());
}

TEST(StoreName, IsRemovedAtTheEnd) {
  std::string path;
  {
    const StoreName name("test");
    path = name.path();
    std::ofstream(path) << "x";
    EXPECT_EQ(access(path.c_str(), F_OK), 0);
  }
  EXPECT_NE(access(path.c_str(), F_OK), 0);
}

}  // namespace
}  // namespace lightning::bench
