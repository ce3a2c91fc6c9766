#include "faults/engine/cross_check.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "faults/check/segment_for_tests.h"
#include "faults/engine/step_engine.h"
#include "faults/engine/tracee.h"
#include "faults/report/step_record.h"
#include "faults/target/segments.h"

namespace lightning::faults {
namespace {

TEST(CrossCheckTest, AHookThatIsLeftOutIsFoundWithAddressAndSourceLine) {
  const std::string before = VictimProgram();
  SetVictimProgram(std::filesystem::read_symlink("/proc/self/exe").parent_path() / "lightning-faults");
  StepEngine engine;
  engine.Run(NamedRun("put-replace", 4));
  std::set<WordPlace> all;
  for (const auto& [place, sighting] : engine.words().all()) all.insert(place);
  ASSERT_GT(all.size(), 10u);
  Findings findings;
  CompareWords(engine.words(), all, VictimProgram(), &findings);
  EXPECT_TRUE(findings.empty());
  for (const WordPlace place : all) {
    std::set<WordPlace> hooked = all;
    hooked.erase(place);
    findings.clear();
    CompareWords(engine.words(), hooked, VictimProgram(), &findings);
    ASSERT_EQ(findings.size(), 1u) << PlaceName(place);
    EXPECT_NE(findings[0].what.find(PlaceName(place)), std::string::npos) << findings[0].what;
    EXPECT_NE(findings[0].what.find("store/"), std::string::npos) << findings[0].what;
    EXPECT_NE(findings[0].what.find("address 0x"), std::string::npos) << findings[0].what;
    EXPECT_NE(findings[0].reproduce.find("--op put-replace"), std::string::npos) << findings[0].reproduce;
  }
  SetVictimProgram(before);
}

TEST(CrossCheckTest, PlacesAreTheSameInSegmentsOfAnySize) {
  Options options = SmallSegment();
  const MemorySegment small(options);
  options.size = 4 << 20;
  options.max_objects = 100;
  options.max_clients = 20;
  const MemorySegment large(options);
  const Segment &a = small.segment(), &b = large.segment();
  const auto same = [&](const void* one, const void* other) {
    const auto place = PlaceOf(a, a.OffsetOf(one));
    ASSERT_TRUE(place.has_value());
    EXPECT_EQ(place, PlaceOf(b, b.OffsetOf(other))) << PlaceName(*place);
    EXPECT_EQ(ParsePlace(PlaceName(*place)), place);
  };
  same(&a.central().lock, &b.central().lock);
  same(&a.slot(1).log[3].old, &b.slot(17).log[9].old);
  same(&a.slot(1).held[0], &b.slot(17).held[2]);
  same(&a.home_at(0).next, &b.home_at(7).next);
  same(&a.event(1).sequence, &b.event(3).sequence);
  same(&a.client_page(1).pins[0], &b.client_page(9).pins[5]);
  EXPECT_NE(PlaceOf(a, a.OffsetOf(&a.slot(0).lock)), PlaceOf(a, a.OffsetOf(&a.slot(0).credits)));
  EXPECT_FALSE(PlaceOf(a, a.geometry().heap).has_value());
  EXPECT_FALSE(ParsePlace("bucket offset 8 ").has_value());
}

}  // namespace
}  // namespace lightning::faults
