#include "faults/report/page_timeline.h"

#include <fmt/format.h>

#include <array>

#include "faults/report/markup.h"

namespace lightning::faults {
namespace {

constexpr size_t kOutcomes = 6;
constexpr uint32_t kWidth = 1200;  // units of the picture, whatever its size on the screen

const char* ClassOf(PointOutcome outcome) {
  constexpr std::array<const char*, kOutcomes> kNames = {"u", "d", "b", "a", "m", "f"};
  return kNames[static_cast<size_t>(outcome)];
}

// A death after an instruction that leaves a known state is healed as that state was.
bool IsKnown(PointOutcome outcome) { return outcome <= PointOutcome::kDuplicate; }

// What a death after each instruction is healed to, as stretches of one colour.
std::string Bands(const StepTrace& trace, double scale) {
  std::string svg;
  PointOutcome now = PointOutcome::kBefore;
  size_t begin = 0;
  auto flush = [&](size_t end) {
    if (end > begin)
      svg += fmt::format("<rect class=\"{}\" x=\"{:.1f}\" y=\"20\" width=\"{:.1f}\" height=\"8\"/>", ClassOf(now),
                         static_cast<double>(begin) * scale, static_cast<double>(end - begin) * scale);
    begin = end;
  };
  for (size_t i = 0; i < trace.size(); ++i) {
    if (IsKnown(trace[i].outcome) || trace[i].outcome == now) continue;
    flush(i);
    now = trace[i].outcome;
  }
  flush(trace.size());
  return svg;
}

// One stroke for each kind; the place of a stroke on the screen is shared by many instructions, and drawn once.
std::string Ticks(const StepTrace& trace, double scale) {
  std::array<std::string, kOutcomes> paths;
  std::array<int64_t, kOutcomes> last;
  last.fill(-1);
  for (size_t i = 0; i < trace.size(); ++i) {
    const auto kind = static_cast<size_t>(trace[i].outcome);
    const auto x = static_cast<int64_t>((static_cast<double>(i) + 0.5) * scale);
    if (kind == 0 || x == last[kind]) continue;
    last[kind] = x;
    paths[kind] += fmt::format("M{} {}V18", x, trace[i].outcome == PointOutcome::kDuplicate ? 11 : 2);
  }
  std::string svg;
  for (size_t kind = 1; kind < kOutcomes; ++kind) {
    if (!paths[kind].empty())
      svg += fmt::format("<path class=\"{}\" d=\"{}\"/>", ClassOf(static_cast<PointOutcome>(kind)), paths[kind]);
  }
  return svg;
}

std::string PlaceOf(const StepPoint& point, const LineTable& table) {
  const auto places = table.At(point.address);
  if (point.address == StepPoint::kElsewhere || places.empty()) return "";
  return fmt::format(", {}:{}", table.files()[places.back().file], places.back().line);
}

// The instructions at which the outcome becomes another for good, or fails.
std::string Turns(const StepTrace& trace, const LineTable& table) {
  size_t after = 0;
  for (size_t i = trace.size(); i-- > 0;) {
    if (trace[i].outcome == PointOutcome::kFailed)
      return fmt::format("failed at {}{}", Thousands(i + 1), PlaceOf(trace[i], table));
    if (IsKnown(trace[i].outcome)) continue;
    if (trace[i].outcome != PointOutcome::kAfter) break;
    after = i + 1;
  }
  if (after == 0) return "a death leaves the content as it was";
  return fmt::format("takes effect at {}{}", Thousands(after), PlaceOf(trace[after - 1], table));
}

}  // namespace

std::string TimelineRow(const OperationRecord& operation, const LineTable& table) {
  const StepTrace& trace = operation.trace;
  const double scale = trace.empty() ? 0 : static_cast<double>(kWidth) / static_cast<double>(trace.size());
  size_t changes = 0, fresh = 0;
  for (const StepPoint& point : trace) {
    changes += point.outcome != PointOutcome::kUnchanged;
    fresh += !IsKnown(point.outcome);
  }
  return fmt::format(
      "<div class=\"op\"><div class=\"name\"><b>{}</b></div><div><svg viewBox=\"0 0 {} 28\" "
      "preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{}\"><title>{}</title>{}{}</svg><div class=\"soft "
      "small\">{} instructions, {} changed the state, {} new states; {}</div></div></div>\n",
      EscapeMarkup(operation.name), kWidth, EscapeMarkup(operation.title), EscapeMarkup(operation.command),
      Bands(trace, scale), Ticks(trace, scale), Thousands(trace.size()), Thousands(changes), Thousands(fresh),
      EscapeMarkup(Turns(trace, table)));
}

std::string TimelineKey() {
  return "<p class=\"key\"><span><i class=\"b\"></i>healed to the content before</span><span><i class=\"a\"></i>healed "
         "to the content after</span><span><i class=\"m\"></i>to another that the model allows</span><span><i "
         "class=\"d\"></i>a state met and judged before</span><span><i class=\"f\"></i>failed</span></p>\n";
}

}  // namespace lightning::faults
