#include "faults/report/history_page.h"

#include <fmt/format.h>

#include <algorithm>

namespace lightning::faults {
namespace {

constexpr std::string_view kStyle = R"(
:root { color-scheme: light dark;
  --paper: #fbfbf9; --ink: #1d2126; --soft: #68707a; --line: #dcdfe3; --lane: #f1f2ef;
  --write: #2f6fb3; --read: #3d8a5f; --bad: #c4372c; }
@media (prefers-color-scheme: dark) { :root {
  --paper: #15181c; --ink: #e5e8eb; --soft: #98a1ab; --line: #31373e; --lane: #1c2025;
  --write: #4285c8; --read: #3f9468; --bad: #d9534a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 2.2rem 1.6rem 3rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 .2rem; } h2 { font-size: 1.05rem; margin: 2.2rem 0 .6rem; }
p { margin: .3rem 0; max-width: 60rem; } .soft { color: var(--soft); } .bad { color: var(--bad); }
code, .timeline, td.mono { font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; font-size: 14px; }
.timeline { display: grid; grid-template-columns: max-content 1fr; width: fit-content; max-width: 100%; border: 1px solid var(--line); border-radius: 8px;
  overflow-x: auto; }
.client { padding: 0 1.2ch; line-height: 46px; border-right: 1px solid var(--line); position: sticky; left: 0; z-index: 2;
  background: var(--paper); white-space: pre; }
.lane { position: relative; height: 46px; } .track { position: absolute; inset: 0 2ch; } .row { display: contents; }
.row:nth-child(odd) > * { background: var(--lane); }
.bar { position: absolute; top: 9px; height: 28px; line-height: 28px; border-radius: 5px; padding: 0 1ch; color: #fff;
  background: var(--read); white-space: pre; text-align: center; }
.bar.write { background: var(--write); } .bar.stuck { background: var(--bad); }
.bar.open { border-radius: 5px 0 0 5px; text-align: left;
  background: linear-gradient(to right, var(--write) calc(100% - 7ch), transparent); }
.bar b { position: absolute; top: -8px; left: -9px; min-width: 20px; height: 20px; padding: 0 5px; border-radius: 10px;
  font: 600 12px/18px system-ui, sans-serif; text-align: center; color: var(--ink); background: var(--paper);
  border: 1px solid var(--soft); }
.bar.stuck b { color: var(--bad); border-color: var(--bad); }
.key { display: flex; flex-wrap: wrap; gap: .3rem 1.6rem; margin: .7rem 0 0; font-size: .88rem; color: var(--soft); }
.key i { display: inline-block; width: 1.6em; height: .8em; border-radius: 3px; margin-right: .45em; }
.scroll { overflow-x: auto; margin-bottom: .8rem; } table { border-collapse: collapse; font-size: .94rem; }
th { text-align: left; font-weight: 600; color: var(--soft); }
th, td { padding: .3rem 1.4rem .3rem 0; border-bottom: 1px solid var(--line); white-space: nowrap; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
tr.stuck td { color: var(--bad); }
)";

std::string Escape(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '&')
      escaped += "&amp;";
    else if (c == '<')
      escaped += "&lt;";
    else if (c == '>')
      escaped += "&gt;";
    else if (c == '"')
      escaped += "&quot;";
    else
      escaped += c;
  }
  return escaped;
}

bool IsWrite(const RegisterOperation& o) {
  return o.kind == RegisterKind::kPut || o.kind == RegisterKind::kReplace || o.kind == RegisterKind::kDelete;
}

std::string ClientName(const HistoryFile& file, uint32_t client) {
  return Escape(CutText(PlainName(file.clients.Name(client)), 24));
}

std::string Bar(const HistoryFile& file, const TimelineBar& bar) {
  const RegisterOperation& o = file.operations[bar.operation];
  const std::string mark = bar.stuck ? "<b>✗</b>" : bar.step > 0 ? fmt::format("<b>{}</b>", bar.step) : "";
  return fmt::format("<div class=\"bar{}{}{}\" style=\"left:{}ch;width:{}ch\" title=\"line {}: {}\">{}{}</div>",
                     IsWrite(o) ? " write" : "", bar.stuck ? " stuck" : "", o.Returned() ? "" : " open", bar.begin,
                     bar.end - bar.begin, file.lines[bar.operation], Escape(ShowTimes(o)), mark, Escape(bar.label));
}

std::string Timeline(const HistoryFile& file, const HistoryPicture& picture) {
  const TimelineLayout layout = LayOut(file, picture);
  std::string html = "<div class=\"timeline\">\n";
  for (const TimelineLane& lane : layout.lanes) {
    html += fmt::format(
        "<div class=\"row\"><div class=\"client\">{}</div><div class=\"lane\" style=\"min-width:{}ch\">"
        "<div class=\"track\">",
        ClientName(file, lane.client), layout.width + 5);
    for (const TimelineBar& bar : lane.bars) html += Bar(file, bar);
    html += "</div></div></div>\n";
  }
  return html +
         "</div>\n<p class=\"key\"><span><i style=\"background:var(--write)\"></i>may change the key</span>"
         "<span><i style=\"background:var(--read)\"></i>reads it</span>"
         "<span><i style=\"background:var(--bad)\"></i>cannot happen</span>"
         "<span><i style=\"background:linear-gradient(to right, var(--write), transparent)\"></i>its client died: it "
         "may "
         "have happened at any time from there on, or never</span>"
         "<span>numbers: the longest legal order; the order of calls and returns is right, distances are not to "
         "scale</span></p>\n";
}

std::string OrderTable(const HistoryFile& file, const HistoryPicture& picture) {
  std::string html =
      "<div class=\"scroll\"><table><tr><th class=\"number\">step</th><th>client</th><th>operation</th>"
      "<th>what is there then</th><th>from, to</th><th class=\"number\">line</th></tr>\n";
  const std::vector<uint64_t> values = ValuesAfter(file, picture.order);
  auto row = [&](const std::string& step, uint32_t index, const std::string& there, bool stuck) {
    const RegisterOperation& o = file.operations[index];
    html += fmt::format(
        "<tr{}><td class=\"number\">{}</td><td>{}</td><td class=\"mono\">{}</td><td class=\"mono\">{}</td>"
        "<td>{}</td><td class=\"number\">{}</td></tr>\n",
        stuck ? " class=\"stuck\"" : "", step, ClientName(file, o.client),
        Escape(CutText(DescribeOperation(file, o), 60)), there, ShowTimes(o), file.lines[index]);
  };
  for (size_t i = 0; i < picture.order.size(); ++i)
    row(std::to_string(i + 1), picture.order[i], Escape(ShortValue(file, values[i])), false);
  row("✗", picture.stuck, Escape(ShortValue(file, picture.value)) + ": it does not fit", true);
  for (const uint32_t i : picture.part) {
    const bool placed = std::find(picture.order.begin(), picture.order.end(), i) != picture.order.end();
    if (!placed && i != picture.stuck)
      row("", i, file.operations[i].Returned() ? "not reached" : "taken as never happened", false);
  }
  return html + "</table></div>\n";
}

std::string Sentence(Verdict verdict) {
  switch (verdict) {
    case Verdict::kOk:
      return "Linearizable";
    case Verdict::kIllegal:
      return "Not linearizable";
    case Verdict::kUnknown:
      break;
  }
  return "Unknown: the budget ran out";
}

}  // namespace

std::string HistoryPage(const HistoryFile& file, const HistoryVerdict& verdict, const HistoryPicture& picture) {
  std::string html = fmt::format(
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width\">\n<title>{}: {}</title>\n<style>{}</style>\n</head>\n"
      "<body>\n<h1{}>{}</h1>\n<p class=\"soft\">{}: {} operations of {} clients on {} keys</p>\n",
      Escape(picture.name), VerdictName(verdict.verdict), kStyle,
      verdict.verdict == Verdict::kOk ? "" : " class=\"bad\"", Sentence(verdict.verdict), Escape(picture.name),
      file.operations.size(), file.clients.size(), verdict.keys);
  if (!picture.part.empty()) {
    const std::string key = PlainName(file.keys.Name(file.operations[picture.part[0]].key));
    html += fmt::format(
        "<h2>Key <code>{}</code></h2>\n<p>Of its {} operations, these {} fit no order, whatever the others did.</p>\n{}"
        "<h2>How far an order can go</h2>\n{}<p>{}{}</p>\n",
        Escape(CutText(key, 60)), picture.key_operations, picture.part.size(), Timeline(file, picture),
        OrderTable(file, picture), picture.order.empty() ? "None of them can come first: " : "Then ",
        Escape(WhyStuck(file, picture)));
  }
  return html + "</body>\n</html>\n";
}

}  // namespace lightning::faults
