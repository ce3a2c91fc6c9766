#include "faults/report/history_timeline.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>

namespace lightning::faults {
namespace {

constexpr size_t kLongestLabel = 40, kLongestValue = 24, kLongestClient = 16;
constexpr size_t kOpenTail = 6;  // columns that a bar without an end goes on past everything

std::string Repeat(const char* piece, size_t count) {
  std::string text;
  for (size_t i = 0; i < count; ++i) text += piece;
  return text;
}

std::string DrawBar(const TimelineBar& bar, bool returned) {
  const size_t room = bar.end - bar.begin - 1 - TextWidth(bar.label) - 2;  // beside "├ label ┤"
  if (returned) return "├" + Repeat("─", room / 2) + " " + bar.label + " " + Repeat("─", room - room / 2) + "┤";
  const size_t left = std::min<size_t>(1, room);
  return "├" + Repeat("─", left) + " " + bar.label + " " + Repeat("┄", room - left) + "▷";
}

}  // namespace

size_t TextWidth(const std::string& text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<uint8_t>(c) & 0xC0) != 0x80; }));
}

std::string CutText(const std::string& text, size_t width) {
  if (TextWidth(text) <= width) return text;
  size_t at = 0;
  for (size_t seen = 0; at < text.size(); ++at) {
    if ((static_cast<uint8_t>(text[at]) & 0xC0) != 0x80 && ++seen == width) break;
  }
  return text.substr(0, at) + "…";
}

std::string ShortValue(const HistoryFile& file, uint64_t value) {
  return value == kAbsent ? "nothing" : CutText(PlainName(file.values.Name(value)), kLongestValue);
}

std::string ShowTimes(const RegisterOperation& operation) {
  if (operation.ret == kNever) return fmt::format("{}, interrupted", operation.call);
  return fmt::format("{} to {}{}", operation.call, operation.ret, operation.Returned() ? "" : ", interrupted");
}

std::vector<uint64_t> ValuesAfter(const HistoryFile& file, const std::vector<uint32_t>& order) {
  std::vector<uint64_t> values;
  uint64_t value = kAbsent;
  for (const uint32_t i : order) {
    const RegisterOperation& o = file.operations[i];
    if (o.kind == RegisterKind::kPut || (o.kind == RegisterKind::kReplace && value == o.expected)) value = o.value;
    if (o.kind == RegisterKind::kDelete) value = kAbsent;
    values.push_back(value);
  }
  return values;
}

std::string WhyStuck(const HistoryFile& file, const HistoryPicture& picture) {
  const RegisterOperation& o = file.operations[picture.stuck];
  const std::string client = CutText(PlainName(file.clients.Name(o.client)), kLongestClient);
  return fmt::format("{}'s \"{}\" had to happen before it returned at {}, and could not: {} was there.", client,
                     CutText(DescribeOperation(file, o), kLongestLabel), o.ret, ShortValue(file, picture.value));
}

TimelineLayout LayOut(const HistoryFile& file, const HistoryPicture& picture) {
  struct Event {
    uint64_t time;
    bool is_return;
    uint32_t operation;
  };
  std::vector<Event> events;
  std::map<uint32_t, TimelineBar> bars;
  for (const uint32_t i : picture.part) {
    const RegisterOperation& o = file.operations[i];
    events.push_back({o.call, false, i});
    if (o.Returned()) events.push_back({o.ret, true, i});
    TimelineBar& bar = bars[i];
    bar.operation = i;
    bar.label = CutText(DescribeOperation(file, o), kLongestLabel);
    const auto at = std::find(picture.order.begin(), picture.order.end(), i);
    if (at != picture.order.end()) bar.step = static_cast<size_t>(at - picture.order.begin()) + 1;
    bar.stuck = i == picture.stuck;
  }
  std::sort(events.begin(), events.end(), [](const Event& a, const Event& b) {
    return std::tuple(a.time, a.is_return, a.operation) < std::tuple(b.time, b.is_return, b.operation);
  });
  TimelineLayout layout;
  size_t at = 0;
  for (const Event& event : events) {
    TimelineBar& bar = bars[event.operation];
    if (event.is_return) {
      at = std::max(at, bar.begin + TextWidth(bar.label) + 5);
      bar.end = at;
    } else {
      bar.begin = at;
    }
    at += 2;
  }
  layout.width = at;
  for (const auto& [i, bar] : bars) {
    if (bar.end == 0) layout.width = std::max(layout.width, bar.begin + TextWidth(bar.label) + kOpenTail);
  }
  std::map<uint32_t, size_t> lanes;
  for (const uint32_t i : picture.part) {
    TimelineBar& bar = bars[i];
    if (bar.end == 0) bar.end = layout.width;
    const uint32_t client = file.operations[i].client;
    const auto [lane, added] = lanes.try_emplace(client, layout.lanes.size());
    if (added) layout.lanes.push_back({client, {}});
    layout.lanes[lane->second].bars.push_back(bar);
  }
  return layout;
}

std::string HistoryTimeline(const HistoryFile& file, const HistoryPicture& picture) {
  const TimelineLayout layout = LayOut(file, picture);
  const RegisterOperation& first = file.operations[picture.part[0]];
  std::string text = fmt::format("key {}: of its {} operations these {} fit no order (not to scale)\n\n",
                                 PlainName(file.keys.Name(first.key)), picture.key_operations, picture.part.size());
  size_t margin = 0;
  auto name = [&](uint32_t client) { return CutText(PlainName(file.clients.Name(client)), kLongestClient); };
  for (const TimelineLane& lane : layout.lanes) margin = std::max(margin, TextWidth(name(lane.client)));
  for (const TimelineLane& lane : layout.lanes) {
    const std::string client = name(lane.client);
    text += "  " + client + std::string(margin - TextWidth(client) + 2, ' ');
    size_t at = 0;
    for (const TimelineBar& bar : lane.bars) {
      text += std::string(bar.begin - at, ' ') + DrawBar(bar, file.operations[bar.operation].Returned());
      at = bar.end + 1;
    }
    text += "\n";
  }
  text += "\n";
  for (const uint32_t i : picture.part)
    text += fmt::format("  line {}: {} {} ({})\n", file.lines[i], name(file.operations[i].client),
                        DescribeOperation(file, file.operations[i]), ShowTimes(file.operations[i]));
  text += picture.order.empty() ? "\nNone of them can come first. " : "\nThe longest legal order:\n";
  const std::vector<uint64_t> values = ValuesAfter(file, picture.order);
  for (size_t i = 0; i < picture.order.size(); ++i) {
    const RegisterOperation& o = file.operations[picture.order[i]];
    text += fmt::format("  {}. {} {} (then {} is there)\n", i + 1, name(o.client), DescribeOperation(file, o),
                        ShortValue(file, values[i]));
  }
  return text + (picture.order.empty() ? "" : "Then ") + WhyStuck(file, picture) + "\n";
}

}  // namespace lightning::faults
