#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "faults/plan/plan_reader.h"
#include "faults/plan/plan_segment.h"

namespace lightning::faults {
namespace {

constexpr uint64_t kAny64 = ~uint64_t{0};
constexpr uint64_t kMaxBytes = uint64_t{1} << 38;  // what no heap can hold
constexpr size_t kMaxName = 64;

class Parser {
 public:
  explicit Parser(std::string_view text) : reader_(text) {}

  Plan Parse() {
    FirstLine();
    while (!reader_.NextIs(PlanToken::kEndOfText)) Statement();
    if (plan_.clients.empty()) PlanReader::Fail(reader_.Peek(), "a plan has at least one client: \"client NAME {\"");
    if (!plan_.recoverers.empty() && plan_.recoverers.back().killed)
      PlanReader::Fail(last_recoverer_, "the last recoverer must live, or nobody could be asked what is left");
    CheckSegment();
    return std::move(plan_);
  }

 private:
  void FirstLine() {
    const std::string wanted = fmt::format("the first line must be \"{}\"", kPlanFirstLine);
    if (reader_.Peek().line != 1 || !reader_.NextIsWord("lightning")) PlanReader::Fail(PlanToken(), wanted);
    reader_.Take();
    if (!reader_.NextIsWord("plan")) PlanReader::Fail(reader_.Peek(), wanted);
    reader_.Take();
    if (!reader_.NextIsWord("1"))
      PlanReader::Fail(reader_.Peek(), "this program reads version 1 of the format: " + wanted);
    reader_.Take();
    reader_.EndLine();
  }

  void Statement() {
    const PlanToken word =
        PlanSettings::TakeName(reader_, "a statement",
                               {"seed", "engine", "segment", "client", "schedule", "kill", "stop", "stray", "recover"});
    if (word.text == "client") return Client(word);
    if (word.text == "kill") return Kill();
    if (word.text == "stop") return Stop();
    if (word.text == "stray") return Stray();
    if (word.text == "recover") return Recoverer();
    settings_.Once(word);
    if (word.text == "segment") return Segment(word);
    if (word.text == "schedule") return ScheduleOf(word);
    if (word.text == "seed") plan_.seed = reader_.Number("the seed", 0, kAny64);
    if (word.text == "engine") plan_.engine = reader_.OneOf(kEngineWords, "an engine");
    reader_.EndLine();
  }

  void Segment(const PlanToken& owner) {
    segment_ = owner;
    PlanSegment& segment = plan_.segment;
    PlanSettings settings;
    reader_.OpenBlock();
    while (!reader_.CloseBlock(owner)) {
      const PlanToken name = PlanSettings::TakeName(
          reader_, "a setting of the segment",
          {"max-objects", "max-clients", "max-pins", "event-slots", "heap", "eviction", "hash-seed", "isolation"});
      settings.Once(name);
      if (name.text == "max-objects") segment.max_objects = reader_.Number32(name.text, 1, 1u << 30);
      if (name.text == "max-clients") segment.max_clients = reader_.Number32(name.text, 1, kMaxClientSlots);
      if (name.text == "max-pins") segment.max_pins = reader_.Number32(name.text, 1, 1u << 24);
      if (name.text == "event-slots") segment.event_slots = reader_.Number32(name.text, 1, 1u << 20);
      if (name.text == "heap") segment.heap = reader_.Number(name.text, 1, kMaxBytes - kPageSize, /*sizes=*/true);
      if (name.text == "hash-seed") segment.hash_seed = reader_.Number(name.text, 1, kAny64);
      if (name.text == "eviction") segment.eviction = reader_.OneOf(kEvictionWords, "an eviction policy");
      if (name.text == "isolation") segment.isolation = reader_.OneOf(kIsolationWords, "an isolation mode");
      reader_.EndLine();
    }
  }

  PlanToken Name() {
    const PlanToken name = reader_.Expect(PlanToken::kWord, "a name, of letters, digits and '-'");
    if (name.text.size() > kMaxName)
      PlanReader::Fail(name, fmt::format("a name has at most {} characters, not {}", kMaxName, name.text.size()));
    return name;
  }

  void Client(const PlanToken& owner) {
    const PlanToken name = Name();
    if (IndexOf(name.text) < plan_.clients.size())
      PlanReader::Fail(name, fmt::format("there is already a client of the name \"{}\"", name.text));
    if (plan_.clients.size() == kMaxClientSlots)
      PlanReader::Fail(name, fmt::format("a plan has at most {} clients", kMaxClientSlots));
    PlanClient client;
    client.name = name.text;
    reader_.OpenBlock();
    for (bool any = false; !reader_.CloseBlock(owner); any = true) {
      const PlanToken word = reader_.Peek();
      if (!reader_.NextIsWord("before")) {
        client.operations.push_back(Operation());
        continue;
      }
      if (any) PlanReader::Fail(word, "\"before\" stands once, and before all operations of its client");
      reader_.Take();
      reader_.OpenBlock();
      while (!reader_.CloseBlock(word)) client.before.push_back(Operation());
    }
    plan_.clients.push_back(std::move(client));
  }

  PlanOperation Operation() {
    PlanOperation operation;
    const PlanToken word = reader_.Peek();
    operation.action = reader_.OneOf(kActionWords, "an operation or \"}\"");
    switch (OperandsOf(operation.action)) {
      case Operands::kNone:
        break;
      case Operands::kKey:
        operation.items.push_back({Key(), {}});
        break;
      case Operands::kPrefix:
        operation.items.push_back({Prefix().text, {}});
        break;
      case Operands::kItem:
        operation.items.push_back(Item(operation.action == Action::kCreate));
        break;
      case Operands::kBytes:
        operation.amount = reader_.Number("bytes", 0, kMaxBytes, /*sizes=*/true);
        break;
      case Operands::kBatch:
        Batch(word, &operation);
        return operation;
    }
    reader_.EndLine();
    return operation;
  }

  void Batch(const PlanToken& owner, PlanOperation* operation) {
    std::set<std::string> keys;
    reader_.OpenBlock();
    while (!reader_.CloseBlock(owner)) {
      const PlanToken put = PlanSettings::TakeName(reader_, "\"put\" or \"}\"", {"put"});
      if (operation->items.size() == kMaxBatchSize)
        PlanReader::Fail(put, fmt::format("a batch has at most {} puts", kMaxBatchSize));
      const PlanToken key = reader_.Peek();
      operation->items.push_back(Item(/*creates=*/false));
      if (!keys.insert(key.text).second) PlanReader::Fail(key, fmt::format("a batch puts {} twice", ShowKey(key.text)));
      reader_.EndLine();
    }
    if (operation->items.empty()) PlanReader::Fail(owner, "a batch has at least one put");
  }

  PlanToken Prefix() {
    const PlanToken key = reader_.Expect(PlanToken::kKey, "a key in double quotes");
    if (key.text.size() > kMaxKeySize)
      PlanReader::Fail(key, fmt::format("a key has at most {} bytes, not {}", kMaxKeySize, key.text.size()));
    return key;
  }
  std::string Key() {
    const PlanToken key = Prefix();
    if (key.text.empty()) PlanReader::Fail(key, "a key has at least one byte");
    return key.text;
  }

  NamedItem Item(bool creates) {
    NamedItem object{Key(), {}};
    PlanSettings settings;
    PlanToken size = reader_.Peek(), pages;
    while (reader_.NextIs(PlanToken::kWord)) {
      const PlanToken name =
          creates ? PlanSettings::TakeName(reader_, "a setting of the value", {"size", "tag", "metadata", "pages"})
                  : PlanSettings::TakeName(reader_, "a setting of the value", {"size", "tag", "metadata"});
      settings.Once(name);
      if (name.text == "size") {
        size = reader_.Peek();
        object.item.size = reader_.Number("the size", 0, kMaxBytes, /*sizes=*/true);
      }
      if (name.text == "tag") object.item.tag = reader_.Number("the tag", 0, kAny64);
      if (name.text == "metadata")
        object.item.metadata_size =
            static_cast<uint32_t>(reader_.Number("the size of the metadata", 0, kMaxMetadataSize, /*sizes=*/true));
      if (name.text == "pages") {
        object.item.whole_pages = true;
        pages = name;
      }
    }
    const bool large = creates && object.item.size >= kWholePagesFrom;
    if (object.item.whole_pages && !large)
      PlanReader::Fail(pages, "only a created value of 64K or more has pages of its own");
    if (!object.item.whole_pages && large)
      PlanReader::Fail(size, "a created value of 64K or more has pages of its own: say \"pages\"");
    return object;
  }

  Moment At() {
    reader_.ExpectWord("at");
    Moment moment;
    moment.unit = reader_.OneOf(kUnitWords, "what to count");
    moment.number = reader_.Number("the number", 1, kAny64);
    return moment;
  }

  size_t IndexOf(std::string_view name) const {
    return static_cast<size_t>(std::find_if(plan_.clients.begin(), plan_.clients.end(),
                                            [&](const PlanClient& client) { return client.name == name; }) -
                               plan_.clients.begin());
  }
  size_t KnownClient() {
    const PlanToken name = Name();
    const size_t index = IndexOf(name.text);
    if (index < plan_.clients.size()) return index;
    std::vector<std::string_view> known;
    for (const PlanClient& client : plan_.clients) known.push_back(client.name);
    if (known.empty()) PlanReader::Fail(name, "clients stand before whatever names them");
    PlanReader::Unknown(name, "a client of the plan", known);
  }
  std::string ClientName() { return plan_.clients[KnownClient()].name; }

  void Kill() {
    PlanKill kill;
    kill.client = ClientName();
    kill.at = At();
    reader_.EndLine();
    plan_.kills.push_back(std::move(kill));
  }

  void Stop() {
    PlanStop stop;
    stop.client = ClientName();
    stop.at = At();
    if (reader_.NextIs(PlanToken::kWord)) {
      reader_.ExpectWord("for");
      stop.points = reader_.Number("the number of points", 0, kAny64);
    }
    reader_.EndLine();
    plan_.stops.push_back(std::move(stop));
  }

  void Stray() {
    PlanStray stray;
    stray.client = ClientName();
    stray.at = At();
    reader_.ExpectWord("into");
    stray.region = reader_.OneOf(kRegionWords, "a region of the segment");
    stray_index_.push_back(reader_.Peek());
    if (HasIndex(stray.region)) stray.index = reader_.Number32("the index", 0, ~0u);
    stray_offset_.push_back(reader_.Peek());
    if (reader_.NextIsWord("offset")) {
      reader_.Take();
      stray_offset_.back() = reader_.Peek();
      stray.offset = reader_.Number("the offset", 0, kAny64);
    }
    reader_.ExpectWord("value");
    stray.value = reader_.Number("the value", 0, kAny64);
    reader_.EndLine();
    plan_.strays.push_back(std::move(stray));
  }

  void Recoverer() {
    PlanRecoverer recoverer;
    reader_.ExpectWord("by");
    last_recoverer_ = reader_.Peek();
    recoverer.client = Name().text;
    if (reader_.NextIs(PlanToken::kWord)) {
      reader_.ExpectWord("killed");
      recoverer.killed = true;
      recoverer.at = At();
    }
    reader_.EndLine();
    plan_.recoverers.push_back(std::move(recoverer));
  }

  void ScheduleOf(const PlanToken& owner) {
    Schedule& schedule = plan_.schedule;
    schedule.strategy = reader_.OneOf(kStrategyWords, "a strategy");
    const bool pct = schedule.strategy == Schedule::kPct;
    PlanSettings settings;
    while (reader_.NextIs(PlanToken::kWord)) {
      const PlanToken name = PlanSettings::TakeName(reader_, "a setting of the schedule",
                                                    {pct ? "depth" : "bound", "percent", "memory", "buffer"});
      settings.Once(name);
      if (name.text == "depth" || name.text == "bound") schedule.bound = reader_.Number32(name.text, 0, 1'000'000);
      if (name.text == "percent") schedule.percent = reader_.Number32(name.text, 0, 100);
      if (name.text == "memory") schedule.memory = reader_.OneOf(kMemoryWords, "a memory model");
      if (name.text == "buffer") schedule.buffer = reader_.Number32(name.text, 0, 60'000);
    }
    if (schedule.strategy != Schedule::kReplay) return reader_.EndLine();
    reader_.OpenBlock();
    while (!reader_.CloseBlock(owner)) {
      PlanSettings::TakeName(reader_, "\"run\" or \"}\"", {"run"});
      ScheduleStep step;
      step.client = static_cast<uint32_t>(KnownClient());
      step.points = reader_.Number("the number of points", 0, kAny64);
      if (reader_.NextIs(PlanToken::kWord)) {
        reader_.ExpectWord("held");
        step.held = reader_.Number32("the number of stores", 0, 1'000'000);
      }
      reader_.EndLine();
      schedule.steps.push_back(step);
    }
  }

  // The settings fit together, and stray writes go somewhere: asked at the end, since order is free.
  void CheckSegment() {
    const Result<Options> options = SegmentOptions(plan_.segment);
    if (!options.ok()) PlanReader::Fail(segment_, "the segment cannot be made: " + options.status().ToString());
    const Geometry g = *Geometry::Compute(*options);
    for (size_t i = 0; i < plan_.strays.size(); ++i) {
      const PlanStray& stray = plan_.strays[i];
      const uint64_t count = CountOf(stray.region, g);
      if (stray.index >= count)
        PlanReader::Fail(stray_index_[i], fmt::format("the index of \"{}\" must be 0 to {}, not {}",
                                                      WordOf(kRegionWords, stray.region), count - 1, stray.index));
      if (stray.offset > g.size - sizeof stray.value)
        PlanReader::Fail(stray_offset_[i],
                         fmt::format("the offset lies beyond the segment, which has {} bytes", g.size));
    }
  }
  static uint64_t CountOf(Region region, const Geometry& g) {
    switch (region) {
      case Region::kSlot:
      case Region::kLog:
      case Region::kPage:
        return g.max_clients;
      case Region::kBucket:
        return uint64_t{g.home_buckets} + g.overflow_buckets;
      case Region::kObject:
        return g.objects;
      case Region::kBlock:
        return g.blocks;
      case Region::kEvent:
        return g.event_slots;
      case Region::kSuperblock:
      case Region::kCentral:
      case Region::kHeap:
        break;
    }
    return 1;
  }

  PlanReader reader_;
  Plan plan_;
  PlanSettings settings_;
  PlanToken segment_, last_recoverer_;
  std::vector<PlanToken> stray_index_, stray_offset_;
};

}  // namespace

ParsedPlan ParsePlan(std::string_view text) {
  ParsedPlan parsed;
  if (text.size() > kMaxPlanText) {
    parsed.error = {1, 1, fmt::format("a plan has at most {} bytes, not {}", kMaxPlanText, text.size())};
    return parsed;
  }
  try {
    parsed.plan = Parser(text).Parse();
  } catch (PlanError& error) {
    parsed.error = std::move(error);
  }
  return parsed;
}

}  // namespace lightning::faults
