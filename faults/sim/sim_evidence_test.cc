#include "faults/sim/sim_evidence.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "faults/plan/plan_segment.h"
#include "faults/plan/plan_text.h"
#include "faults/sim/simulation.h"
#include "faults/sim/strategy.h"

namespace lightning::faults {
namespace {

SimEvidence EvidenceOf(const std::string& text) {
  const ParsedPlan parsed = ParsePlan("lightning plan 1\nengine sim\n" + text);
  EXPECT_TRUE(parsed) << ShowError(parsed.error);
  SimEvidence evidence;
  if (!parsed) return evidence;
  const Plan& plan = *parsed.plan;
  Simulation sim(plan);
  sim.set_log(&evidence.accesses);
  const auto strategy = MakeStrategy(plan.schedule, static_cast<uint32_t>(plan.clients.size()), 1);
  EXPECT_EQ(sim.Run(*strategy, nullptr), "");
  evidence.Take(plan, sim.image().segment());
  return evidence;
}

constexpr const char* kPut = "client a {\n  put \"k\" size 8 tag 1\n}\n";

TEST(SimEvidenceTest, TheTraceNamesEachStoreWithItsClientAndPoint) {
  const SimEvidence evidence = EvidenceOf(kPut);
  EXPECT_NE(evidence.trace.find("  a  stores to slot 0 log_count: 0x0 -> 0x1\n"), std::string::npos) << evidence.trace;
  const auto lines = static_cast<size_t>(std::count(evidence.trace.begin(), evidence.trace.end(), '\n'));
  const auto stores = static_cast<size_t>(std::count_if(evidence.accesses.begin(), evidence.accesses.end(),
                                                        [](const SimAccess& access) { return access.store; }));
  EXPECT_GT(stores, 30u);
  EXPECT_GT(lines, stores);
  EXPECT_TRUE(std::is_sorted(evidence.accesses.begin(), evidence.accesses.end(),
                             [](const SimAccess& a, const SimAccess& b) { return a.point < b.point; }));
}

TEST(SimEvidenceTest, TheImagesAreThatOfTheDeathAndThatAfterRecovery) {
  // Killed inside a transaction, and nobody recovers before the end: the dead do not.
  const SimEvidence evidence = EvidenceOf(std::string(kPut) + "kill a at log-count 3\nrecover by a\n");
  ASSERT_EQ(evidence.before.size(), evidence.after.size());
  const Result<Options> options = SegmentOptions(PlanSegment());
  ASSERT_TRUE(options.ok());
  const Result<Geometry> geometry = Geometry::Compute(*options);
  ASSERT_TRUE(geometry.ok());
  ASSERT_EQ(evidence.before.size(), geometry->size);
  const uint64_t log_count = geometry->SlotOffset(0) + offsetof(Slot, log_count);
  EXPECT_GT(LoadWord(evidence.before.data() + log_count, 8), 0u);
  EXPECT_EQ(LoadWord(evidence.after.data() + log_count, 8), 0u);
}

}  // namespace
}  // namespace lightning::faults
