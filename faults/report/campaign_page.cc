#include "faults/report/campaign_page.h"

#include <fmt/format.h>

#include "faults/report/markup.h"
#include "faults/report/page_style.h"
#include "faults/report/page_timeline.h"

namespace lightning::faults {
namespace {

std::string Row(const std::string& part, double seconds, const std::string& what) {
  return fmt::format("<tr><td>{}</td><td class=\"number\">{:.1f}</td><td>{}</td></tr>\n", part, seconds,
                     EscapeMarkup(what));
}

std::string Summary(const CampaignReport& report) {
  std::string rows;
  const StepFigures& step = report.step.figures;
  if (report.step.seconds > 0)
    rows += Row("step", report.step.seconds,
                fmt::format("{} instructions in {} runs; {} crash states, {} distinct, {} judged with those inside {} "
                            "recoveries; {} really killed",
                            Thousands(step.instructions), Thousands(step.runs), Thousands(step.crash_states),
                            Thousands(step.distinct), Thousands(step.judged()), Thousands(step.recoveries),
                            Thousands(step.real_kills)));
  const SimPart& sim = report.sim;
  if (!sim.cannot_run.empty())
    rows += Row("sim", sim.seconds, "cannot run here: " + sim.cannot_run);
  else if (sim.seconds > 0)
    rows += Row("sim", sim.seconds,
                fmt::format("{} operations in {} schedules of simulated clients, {} killed; {} crash states, {} "
                            "distinct, each recovered and judged",
                            Thousands(sim.operations), Thousands(sim.schedules), Thousands(sim.kills),
                            Thousands(sim.crash_states), Thousands(sim.distinct)));
  for (const KillsPart& part : report.kills)
    rows += Row("kills", part.seconds,
                fmt::format("{} processes killed at full speed; {} operations, {} reads checked ({})",
                            Thousands(part.count), Thousands(part.operations), Thousands(part.reads), part.modes));
  if (report.ops.seconds > 0)
    rows += Row("ops", report.ops.seconds,
                fmt::format("{} random operations against the model in {} segments ({})", Thousands(report.ops.count),
                            Thousands(report.ops.episodes), report.ops.modes));
  if (!report.stray.cannot_run.empty())
    rows += Row("stray", report.stray.seconds, "cannot run here: " + report.stray.cannot_run);
  else if (report.stray.seconds > 0)
    rows += Row(
        "stray", report.stray.seconds,
        fmt::format("{} stores fired from outside a window, {} landed; {} of {} landed through a door left "
                    "open on purpose ({})",
                    Thousands(report.stray.total().fired), Thousands(report.stray.total().landed),
                    Thousands(report.stray.control_landed), Thousands(report.stray.control_fired), report.stray.modes));
  if (rows.empty()) return "<p class=\"soft\">Nothing ran.</p>\n";
  return "<div class=\"scroll\"><table><tr><th>part</th><th class=\"number\">seconds</th><th>what it did</th></tr>\n" +
         rows + "</table></div>\n";
}

std::string Failures(const CampaignReport& report) {
  if (report.findings.empty()) return "";
  std::string html = "<h2>Failures</h2>\n";
  for (const Finding& finding : report.findings)
    html += fmt::format("<div class=\"failure\"><b>{}</b>: {}\n<pre>{}</pre></div>\n", EscapeMarkup(finding.part),
                        EscapeMarkup(finding.what), EscapeMarkup(finding.reproduce));
  return html;
}

std::string Mutants(const CampaignReport& report) {
  if (!report.with_mutants) return "";
  std::string html =
      "<h2>Planted bugs</h2>\n<div class=\"scroll\"><table><tr><th>bug</th><th>rule it breaks</th><th>caught</th>"
      "<th>by</th><th class=\"number\">seconds</th><th>what was seen</th></tr>\n";
  for (const MutantResult& mutant : report.mutants)
    html += fmt::format(
        "<tr><td class=\"mono\">{}</td><td>{}</td><td class=\"{}\">{}</td><td>{}</td><td class=\"number\">{:.1f}</td>"
        "<td>{}</td></tr>\n",
        EscapeMarkup(mutant.name), EscapeMarkup(mutant.rule), mutant.caught ? "good" : "bad",
        mutant.caught ? "yes" : "no", EscapeMarkup(mutant.by), mutant.seconds,
        EscapeMarkup(mutant.caught ? mutant.what : mutant.error));
  return html + "</table></div>\n";
}

std::string CoverageRow(const char* row, const std::string& name, const CoverageSum& sum) {
  return fmt::format(
      "<tr class=\"{}\"><td class=\"mono\">{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td>"
      "<td class=\"number\">{}</td><td class=\"nobr\"><span class=\"bar\"><i "
      "style=\"width:{:.1f}%\"></i></span> {:.1f} %</td></tr>\n",
      row, EscapeMarkup(name), sum.code, sum.stepped, sum.judged, sum.percent(), sum.percent());
}

std::string NotReached(const Coverage& coverage) {
  std::string missed, never;
  for (const FileCoverage& file : coverage.files) {
    const std::string lines = LineRanges(file, [](const LineCounts& l) { return l.stepped > 0 && l.judged == 0; });
    const std::string unused = LineRanges(file, [](const LineCounts& l) { return l.stepped == 0; });
    const std::string name = EscapeMarkup(file.file);
    if (!lines.empty()) missed += fmt::format("<tr><td class=\"mono\">{}</td><td>{}</td></tr>\n", name, lines);
    if (!unused.empty()) never += fmt::format("<tr><td class=\"mono\">{}</td><td>{}</td></tr>\n", name, unused);
  }
  std::string html = missed.empty()
                         ? "<p>On every line that an operation executed, a client was killed and judged.</p>\n"
                         : "<p>Executed, but no death there was judged:</p><table>" + missed + "</table>\n";
  if (!never.empty())
    html += "<details><summary>Lines with code that no stepped operation executed</summary><table>" + never +
            "</table></details>\n";
  return html;
}

std::string CoverageSection(const Coverage& coverage) {
  std::string html = "<h2>Crash coverage</h2>\n";
  if (!coverage.error.empty()) return html + "<p class=\"bad\">" + EscapeMarkup(coverage.error) + "</p>\n";
  if (coverage.files.empty()) return html + "<p class=\"soft\">No operation was stepped.</p>\n";
  html +=
      "<p class=\"soft\">A line counts when a client was killed right after one of its instructions and the state that "
      "was left was recovered and judged.</p>\n"
      "<div class=\"scroll\"><table><tr><th>folder</th><th class=\"number\">lines with code</th><th class=\"number\">"
      "executed</th><th class=\"number\">killed on and judged</th>"
      "<th>judged of executed</th></tr>\n";
  std::string files;
  for (const std::string& folder : Folders(coverage)) {
    html += CoverageRow("folder", folder, Sum(coverage, folder));
    for (const FileCoverage& file : coverage.files) {
      if (file.file.starts_with(folder) && file.file.find('/', folder.size()) == std::string::npos)
        files += CoverageRow("file", file.file, Sum(file));
    }
  }
  return html + "</table></div>\n<details><summary>Every file</summary><div class=\"scroll\"><table>" + files +
         "</table></div></details>\n" + NotReached(coverage);
}

std::string Timelines(const StepRecord& record, const LineTable& table) {
  if (record.operations().empty()) return "";
  std::string html =
      "<h2>Every instruction of every operation</h2>\n<p class=\"soft\">From left to right the instructions of one "
      "run. Strokes: those that changed the store's state, by what a death right after them is healed to. The bar "
      "below: what a death after any instruction is healed to.</p>\n" +
      TimelineKey();
  for (const OperationRecord& operation : record.operations()) html += TimelineRow(operation, table);
  return html;
}

}  // namespace

std::string ToPage(const CampaignReport& report, const Coverage& coverage, const LineTable& table) {
  size_t escaped = 0;
  for (const MutantResult& mutant : report.mutants) escaped += !mutant.caught;
  const std::string verdict = IsClean(report)
                                  ? "<span class=\"good\">nothing was found</span>"
                                  : fmt::format("<span class=\"bad\">{} failures, {} planted bugs not caught</span>",
                                                report.findings.size(), escaped);
  return fmt::format(
             "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
             "content=\"width=device-width\"><title>Lightning: fault-injection campaign, seed {0}</title>\n"
             "<style>{1}</style></head><body>\n<h1>Fault-injection campaign: {2}</h1>\n"
             "<p class=\"soft\">Seed {0}, isolation on this machine: {3}, {4:.0f} seconds.</p>\n",
             report.seed, kPageStyle, verdict, EscapeMarkup(report.isolation), report.seconds) +
         Failures(report) + "<h2>What ran</h2>\n" + Summary(report) + Mutants(report) + CoverageSection(coverage) +
         Timelines(report.step.record, table) + "</body></html>\n";
}

}  // namespace lightning::faults
