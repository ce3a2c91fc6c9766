#include <fmt/format.h>

#include "faults/plan/plan_text.h"
#include "faults/plan/plan_words.h"

namespace lightning::faults {
namespace {

std::string Quoted(std::string_view key) {
  std::string text = "\"";
  for (const char c : key) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      text += '\\';
      text += c;
    } else if (byte >= 0x20 && byte < 0x7F) {
      text += c;
    } else {
      text += fmt::format("\\x{:02x}", byte);
    }
  }
  return text + '"';
}

std::string Size(uint64_t bytes) {
  constexpr uint64_t kK = 1024, kM = 1024 * 1024;
  if (bytes != 0 && bytes % kM == 0) return fmt::format("{}M", bytes / kM);
  if (bytes != 0 && bytes % kK == 0) return fmt::format("{}K", bytes / kK);
  return fmt::format("{}", bytes);
}

std::string Show(const Moment& at) { return fmt::format("{} {}", WordOf(kUnitWords, at.unit), at.number); }

class Printer {
 public:
  std::string Print(const Plan& plan) {
    Line("{}", kPlanFirstLine);
    if (plan.seed != 0) Line("seed {}", plan.seed);
    if (plan.engine != Engine::kAny) Line("engine {}", WordOf(kEngineWords, plan.engine));
    Print(plan.segment);
    for (const PlanClient& client : plan.clients) Print(client);
    Print(plan.schedule, plan.clients);
    for (const PlanKill& kill : plan.kills) Line("kill {} at {}", kill.client, Show(kill.at));
    for (const PlanStop& stop : plan.stops) {
      Line("stop {} at {}{}", stop.client, Show(stop.at), stop.points == 0 ? "" : fmt::format(" for {}", stop.points));
    }
    for (const PlanStray& stray : plan.strays) Print(stray);
    for (const PlanRecoverer& its : plan.recoverers)
      Line("recover by {}{}", its.client, its.killed ? fmt::format(" killed at {}", Show(its.at)) : "");
    return std::move(text_);
  }

 private:
  template <typename... Arguments>
  void Line(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
    text_.append(indent_, ' ');
    fmt::format_to(std::back_inserter(text_), format, std::forward<Arguments>(arguments)...);
    text_ += '\n';
  }
  template <typename... Arguments>
  void Open(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
    Line(format, std::forward<Arguments>(arguments)...);
    indent_ += 2;
  }
  void Close() {
    indent_ -= 2;
    Line("}}");
  }

  void Print(const PlanSegment& segment) {
    const PlanSegment usual;
    if (segment == usual) return;
    Open("segment {{");
    if (segment.max_objects != usual.max_objects) Line("max-objects {}", segment.max_objects);
    if (segment.max_clients != usual.max_clients) Line("max-clients {}", segment.max_clients);
    if (segment.max_pins != usual.max_pins) Line("max-pins {}", segment.max_pins);
    if (segment.event_slots != usual.event_slots) Line("event-slots {}", segment.event_slots);
    if (segment.heap != usual.heap) Line("heap {}", Size(segment.heap));
    if (segment.eviction != usual.eviction) Line("eviction {}", WordOf(kEvictionWords, segment.eviction));
    if (segment.hash_seed != usual.hash_seed) Line("hash-seed {}", segment.hash_seed);
    if (segment.isolation != usual.isolation) Line("isolation {}", WordOf(kIsolationWords, segment.isolation));
    Close();
  }

  void Print(const PlanClient& client) {
    Open("client {} {{", client.name);
    if (!client.before.empty()) {
      Open("before {{");
      for (const PlanOperation& operation : client.before) Print(operation);
      Close();
    }
    for (const PlanOperation& operation : client.operations) Print(operation);
    Close();
  }

  void Print(std::string_view word, const NamedItem& object) {
    const Item& item = object.item;
    Line("{} {}{}{}{}{}", word, Quoted(object.key), item.size == 0 ? "" : fmt::format(" size {}", Size(item.size)),
         item.tag == 0 ? "" : fmt::format(" tag {}", item.tag),
         item.metadata_size == 0 ? "" : fmt::format(" metadata {}", Size(item.metadata_size)),
         item.whole_pages ? " pages" : "");
  }

  void Print(const PlanOperation& operation) {
    const std::string_view word = WordOf(kActionWords, operation.action);
    switch (OperandsOf(operation.action)) {
      case Operands::kNone:
        return Line("{}", word);
      case Operands::kKey:
      case Operands::kPrefix:
        return Line("{} {}", word, Quoted(operation.items.at(0).key));
      case Operands::kItem:
        return Print(word, operation.items.at(0));
      case Operands::kBytes:
        return Line("{} {}", word, Size(operation.amount));
      case Operands::kBatch:
        Open("{} {{", word);
        for (const NamedItem& item : operation.items) Print("put", item);
        return Close();
    }
  }

  void Print(const Schedule& schedule, const std::vector<PlanClient>& clients) {
    const Schedule usual;
    if (schedule == usual) return;
    std::string line = fmt::format("schedule {}", WordOf(kStrategyWords, schedule.strategy));
    const bool pct = schedule.strategy == Schedule::kPct;
    if (schedule.bound != usual.bound) line += fmt::format(" {} {}", pct ? "depth" : "bound", schedule.bound);
    if (schedule.percent != usual.percent) line += fmt::format(" percent {}", schedule.percent);
    if (schedule.memory != usual.memory) line += fmt::format(" memory {}", WordOf(kMemoryWords, schedule.memory));
    if (schedule.buffer != usual.buffer) line += fmt::format(" buffer {}", schedule.buffer);
    if (schedule.strategy != Schedule::kReplay) return Line("{}", line);
    Open("{} {{", line);
    for (const ScheduleStep& step : schedule.steps) {
      Line("run {} {}{}", clients.at(step.client).name, step.points,
           step.held != 0 ? fmt::format(" held {}", step.held) : "");
    }
    Close();
  }

  void Print(const PlanStray& stray) {
    Line("stray {} at {} into {}{}{} value {:#x}", stray.client, Show(stray.at), WordOf(kRegionWords, stray.region),
         HasIndex(stray.region) ? fmt::format(" {}", stray.index) : "",
         stray.offset == 0 ? "" : fmt::format(" offset {}", stray.offset), stray.value);
  }

  std::string text_;
  size_t indent_ = 0;
};

}  // namespace

std::string PrintPlan(const Plan& plan) { return Printer().Print(plan); }

std::string ShowError(const PlanError& error) {
  return fmt::format("{}:{}: {}", error.line, error.column, error.message);
}

}  // namespace lightning::faults
