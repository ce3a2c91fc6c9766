// What the crash suites share: a segment, a survivor that judges, and the facts that must hold after every death.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "crashtests/client_process.h"
#include "crashtests/segment_probe.h"
#include "crashtests/values.h"
#include "lightning/client.h"
#include "store/testing/segment_name.h"

namespace lightning::crash {

// The seed of whatever a test leaves to chance: $LIGHTNING_CRASH_SEED, else a fixed one.
uint64_t ChanceSeed();

class CrashTest : public testing::Test {
 protected:
  // A living peer has to stand still for so long before somebody gives up on it.
  static constexpr std::chrono::milliseconds kDeadline{20'000};

  void SetUp() override { Open({}); }
  // A segment of its own, with two clients of this process: the survivor, and a bystander that does nothing at all.
  void Open(Options options);

  // A crash-client of this segment, attached.
  std::unique_ptr<ClientProcess> StartClient();

  // The seed of the value under the key; nothing when there is none. Fails when the value is torn.
  std::optional<uint64_t> Read(const std::string& key);
  Stats GetStats();
  // All invariants hold; objects and free bytes are what the sealed objects leave; only these two clients are there.
  // `before` is GetStats() of a moment at which the dead had not died.
  void ExpectSound();
  // No object is left, and every byte of the heap is free. Deletes all keys first.
  void ExpectNothingLeaks();
  // The bystander's slot, which no recovery may touch.
  uint64_t BystanderState() const { return probe_->segment().slot(bystander_slot_).state.Load(); }

  // Runs `operation` of the survivor and keeps how long it took, as the time of a heal.
  template <typename Operation>
  auto Timed(Operation operation) {
    const auto begin = std::chrono::steady_clock::now();
    auto result = operation();
    heal_times_.push_back(std::chrono::steady_clock::now() - begin);
    return result;
  }
  // Prints and records the median of those times. Nothing depends on it.
  void ReportHealTimes();

  Result<uint64_t> Put(const std::string& key, uint64_t size, uint64_t seed) {
    return survivor_->Put(key, Bytes(MakeValue(size, seed)));
  }

  test::SegmentName name_;
  Options options_;
  std::unique_ptr<Client> survivor_, bystander_;
  std::unique_ptr<SegmentProbe> probe_;
  SlotIndex bystander_slot_ = 0;
  std::mt19937_64 random_{ChanceSeed()};
  std::vector<std::chrono::nanoseconds> heal_times_;
};

}  // namespace lightning::crash
