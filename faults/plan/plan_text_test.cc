#include "faults/plan/plan_text.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "faults/model/random.h"
#include "faults/plan/expand.h"
#include "faults/plan/plan_words.h"

namespace lightning::faults {
namespace {

std::string Printed(const std::string& text) {
  const ParsedPlan parsed = ParsePlan(text);
  EXPECT_TRUE(parsed) << ShowError(parsed.error) << "\n" << text;
  return parsed ? PrintPlan(*parsed.plan) : "";
}

void ExpectRoundTrip(const Plan& plan) {
  const std::string text = PrintPlan(plan);
  const ParsedPlan parsed = ParsePlan(text);
  ASSERT_TRUE(parsed) << ShowError(parsed.error) << "\n" << text;
  ASSERT_TRUE(*parsed.plan == plan) << text;
  ASSERT_EQ(PrintPlan(*parsed.plan), text);
}

// Any plan that there is, sense or not: every word, every setting, numbers at their limits.
class AnyPlan {
 public:
  explicit AnyPlan(uint64_t seed) : random_(seed) {}

  Plan Make() {
    Plan plan;
    plan.seed = Number(0, ~uint64_t{0});
    plan.engine = Word(kEngineWords);
    PlanSegment& segment = plan.segment;
    segment.max_objects = static_cast<uint32_t>(Number(1, 1000));
    segment.max_clients = static_cast<uint32_t>(Number(1, 100));
    segment.max_pins = static_cast<uint32_t>(Number(1, 1000));
    segment.event_slots = static_cast<uint32_t>(Number(1, 1000));
    segment.heap = Number(1, uint64_t{1} << 30);
    segment.eviction = Word(kEvictionWords);
    segment.hash_seed = Number(1, ~uint64_t{0});
    segment.isolation = Word(kIsolationWords);
    const uint64_t clients = 1 + random_.Below(4);
    for (uint64_t i = 0; i < clients; ++i) {
      PlanClient client;
      client.name = std::string(1 + random_.Below(64), i == 0 ? '-' : static_cast<char>('0' + i));
      for (uint64_t n = random_.Below(3); n > 0; --n) client.before.push_back(Operation());
      for (uint64_t n = random_.Below(6); n > 0; --n) client.operations.push_back(Operation());
      plan.clients.push_back(std::move(client));
    }
    MakeRest(&plan);
    return plan;
  }

 private:
  template <typename T, size_t kCount>
  T Word(const std::array<PlanWord<T>, kCount>& words) {
    return words[random_.Below(kCount)].value;
  }
  uint64_t Number(uint64_t least, uint64_t most) {
    const uint64_t kind = random_.Below(10);
    if (kind == 0) return least;
    if (kind == 1) return most;
    if (kind < 5) return least + std::min(most - least, random_.Below(5000));
    const uint64_t range = most - least;
    return least + (range == ~uint64_t{0} ? random_.Next() : random_.Below(range + 1));
  }
  std::string Key(bool prefix) {
    const uint64_t size = Number(prefix ? 0 : 1, random_.Percent(10) ? 1024 : 20);
    std::string key = Pattern(size, random_.Next());
    for (char& c : key) c = random_.Percent(50) ? static_cast<char>('a' + (c & 15)) : c;
    return key;
  }
  NamedItem AnItem(bool creates) {
    Item item;
    item.tag = Number(0, ~uint64_t{0});
    item.size = Number(0, 200'000);
    item.metadata_size = static_cast<uint32_t>(Number(0, 64 * 1024));
    item.whole_pages = creates && item.size >= kWholePagesFrom;
    return {Key(false), item};
  }
  PlanOperation Operation() {
    PlanOperation operation;
    operation.action = Word(kActionWords);
    switch (OperandsOf(operation.action)) {
      case Operands::kNone:
        break;
      case Operands::kKey:
        operation.items.push_back({Key(false), {}});
        break;
      case Operands::kPrefix:
        operation.items.push_back({Key(true), {}});
        break;
      case Operands::kItem:
        operation.items.push_back(AnItem(operation.action == Action::kCreate));
        break;
      case Operands::kBytes:
        operation.amount = Number(0, 1'000'000);
        break;
      case Operands::kBatch:
        for (uint64_t i = 0, n = Number(1, 64); i < n; ++i) {
          operation.items.push_back(AnItem(false));
          operation.items.back().key = std::to_string(i);
        }
        break;
    }
    return operation;
  }
  Moment AMoment() { return {Word(kUnitWords), Number(1, ~uint64_t{0})}; }

  static uint32_t EntriesAtLeast(Region region, const PlanSegment& segment) {
    if (!HasIndex(region)) return 1;
    if (region == Region::kObject || region == Region::kBlock) return 64;
    if (region == Region::kBucket) return 2;
    return region == Region::kEvent ? segment.event_slots : segment.max_clients;
  }

  void MakeRest(Plan* plan) {
    auto client = [&] { return plan->clients[random_.Below(plan->clients.size())].name; };
    Schedule& schedule = plan->schedule;
    schedule.strategy = Word(kStrategyWords);
    schedule.bound = static_cast<uint32_t>(Number(0, 1'000'000));
    schedule.percent = static_cast<uint32_t>(Number(0, 100));
    schedule.memory = Word(kMemoryWords);
    schedule.buffer = static_cast<uint32_t>(Number(0, 64));
    for (uint64_t n = schedule.strategy == Schedule::kReplay ? random_.Below(20) : 0; n > 0; --n)
      schedule.steps.push_back({static_cast<uint32_t>(random_.Below(plan->clients.size())), Number(0, 1000)});
    for (uint64_t n = random_.Below(3); n > 0; --n) plan->kills.push_back({client(), AMoment()});
    for (uint64_t n = random_.Below(3); n > 0; --n) plan->stops.push_back({client(), AMoment(), Number(0, 1000)});
    for (uint64_t n = random_.Below(3); n > 0; --n) {
      PlanStray stray{client(), AMoment(), Word(kRegionWords), 0, Number(0, 100'000), Number(0, ~uint64_t{0})};
      stray.index = static_cast<uint32_t>(random_.Below(EntriesAtLeast(stray.region, plan->segment)));
      plan->strays.push_back(std::move(stray));
    }
    for (uint64_t n = random_.Below(3); n > 0; --n)
      plan->recoverers.push_back({random_.Percent(50) ? client() : "fresh", true, AMoment()});
    if (!plan->recoverers.empty()) plan->recoverers.push_back({"last", false, {}});
  }

  Random random_;
};

TEST(PlanTextTest, EveryPlanIsTheSameAfterPrintAndParse) {
  for (uint64_t seed = 0; seed < 3000; ++seed) ASSERT_NO_FATAL_FAILURE(ExpectRoundTrip(AnyPlan(seed).Make())) << seed;
}

TEST(PlanTextTest, ExpandedPlansAreTheSameAfterPrintAndParse) {
  for (uint64_t seed = 0; seed < 3000; ++seed) {
    Random random(seed);
    PlanShape shape;
    shape.engine = kEngineWords[random.Below(4)].value;
    shape.clients = static_cast<uint32_t>(1 + random.Below(5));
    shape.operations = static_cast<uint32_t>(1 + random.Below(9));
    shape.keys = static_cast<uint32_t>(1 + random.Below(5));
    shape.kills = static_cast<uint32_t>(random.Below(4));
    shape.stops = static_cast<uint32_t>(random.Below(3));
    shape.killed_recoverers = static_cast<uint32_t>(random.Below(3));
    shape.eviction = random.Percent(30);
    shape.events = random.Percent(30);
    ASSERT_NO_FATAL_FAILURE(ExpectRoundTrip(ExpandPlan(seed, shape))) << seed;
  }
}

TEST(PlanTextTest, DefaultsAreLeftOut) {
  Plan plan;
  plan.clients.push_back({"a", {}, {{Action::kPut, {{"k", {}}}, 0}}});
  EXPECT_EQ(PrintPlan(plan), "lightning plan 1\nclient a {\n  put \"k\"\n}\n");
  ExpectRoundTrip(plan);
}

TEST(PlanTextTest, FormDoesNotMatter) {
  const std::string plain = "lightning plan 1\nclient a {\n  evict 2K\n}\n";
  EXPECT_EQ(Printed("lightning plan 1\n\n# all of it\nclient a {\r\n\tevict 2048 # bytes\n\n}"), plain);
  EXPECT_EQ(Printed("  lightning  plan 1 # version\nclient a {\nevict 0x800\n}\nseed 0\nengine any\nsegment {\n}\n"),
            plain);
}

TEST(PlanTextTest, KeysMayHaveAnyBytes) {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  Plan plan;
  plan.clients.push_back({"a", {}, {}});
  for (const std::string& key : {all, std::string(1024, '"'), std::string(1024, '\0'), std::string("\\x41")})
    plan.clients[0].operations.push_back({Action::kGet, {{key, {}}}, 0});
  ExpectRoundTrip(plan);
}

TEST(PlanTextTest, ATextThatIsTooLargeIsRefused) {
  std::string text = "lightning plan 1\nclient a {\n}\n";
  text.resize(kMaxPlanText, '\n');
  EXPECT_TRUE(ParsePlan(text));
  text += '\n';
  const ParsedPlan parsed = ParsePlan(text);
  ASSERT_FALSE(parsed);
  EXPECT_NE(parsed.error.message.find("at most 16777216 bytes"), std::string::npos) << parsed.error.message;
}

// What is in every place of a text that might be a plan, and some that never is.
std::string Mutated(std::string text, Random& random) {
  for (uint64_t n = 1 + random.Below(4); n > 0; --n) {
    const uint64_t at = random.Below(text.size() + 1),
                   length = random.Below(std::min<uint64_t>(text.size() - at, 30) + 1);
    constexpr std::array<std::string_view, 14> kPieces = {
        "{",    "}",          "\n", "\"", "\\", "0",        "18446744073709551616",
        " at ", "put \"k\" ", "0x", "K",  "#",  "before {", "\xff"};
    switch (random.Below(4)) {
      case 0:
        text.erase(at, length);
        break;
      case 1:
        text.insert(at, kPieces[random.Below(kPieces.size())]);
        break;
      case 2:
        text.insert(at, text.substr(random.Below(text.size() + 1), length));
        break;
      default:
        if (at < text.size()) text[at] = static_cast<char>(random.Next());
    }
  }
  return text;
}

TEST(PlanTextTest, AnyTextIsAPlanOrAnErrorWithItsPosition) {
  uint64_t plans = 0, errors = 0;
  for (uint64_t seed = 0; seed < 20'000; ++seed) {
    Random random(seed);
    const std::string text = Mutated(PrintPlan(AnyPlan(seed % 50).Make()), random);
    const ParsedPlan parsed = ParsePlan(text);
    if (parsed) {
      ++plans;
      ASSERT_NO_FATAL_FAILURE(ExpectRoundTrip(*parsed.plan)) << seed;
      continue;
    }
    ++errors;
    const auto lines = static_cast<uint32_t>(std::count(text.begin(), text.end(), '\n')) + 1;
    ASSERT_GE(parsed.error.line, 1u) << seed;
    ASSERT_LE(parsed.error.line, lines) << seed;
    ASSERT_GE(parsed.error.column, 1u) << seed;
    ASSERT_FALSE(parsed.error.message.empty()) << seed;
  }
  EXPECT_GT(plans, 500u);
  EXPECT_GT(errors, 5000u);
}

// The page that explains the format: its blocks without a language are plans.
TEST(PlanTextTest, TheDocumentSaysEveryWordAndItsExamplesAreWell) {
  std::ifstream in(std::string(LIGHTNING_SOURCE_DIR) + "/docs/plan-format.md");
  std::stringstream all;
  all << in.rdbuf();
  const std::string page = all.str();
  int plans = 0;
  bool inside = false, plan = false;
  std::string block, line;
  while (std::getline(all, line)) {
    if (!line.starts_with("```")) {
      if (inside) block += line + "\n";
      continue;
    }
    if (inside && plan) {
      ++plans;
      const ParsedPlan parsed = ParsePlan(block);
      EXPECT_TRUE(parsed) << ShowError(parsed.error) << "\n" << block;
    }
    inside = !inside;
    plan = line == "```";
    block.clear();
  }
  EXPECT_GE(plans, 2);
  auto expect_words = [&](const auto& words) {
    for (const auto& word : words)
      EXPECT_NE(page.find(word.word), std::string::npos) << "the page does not say " << word.word;
  };
  expect_words(kEngineWords);
  expect_words(kEvictionWords);
  expect_words(kIsolationWords);
  expect_words(kActionWords);
  expect_words(kUnitWords);
  expect_words(kRegionWords);
  expect_words(kStrategyWords);
  expect_words(kMemoryWords);
}

}  // namespace
}  // namespace lightning::faults
