// create, stat, check, recover.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <memory>
#include <nlohmann/json.hpp>

#include "store/cli/common.h"
#include "store/cli/text.h"

namespace lightning::cli {
namespace {

struct CreateArguments {
  Geometry geometry;
  bool if_absent = false;
};

// Makes the segment; false when it was there and --if-absent allows that.
bool MakeSegment(const Common& common, const CreateArguments& arguments) {
  Options options = arguments.geometry.options;
  options.mode = OpenMode::kCreate;
  options.isolation = ParsedIsolation(common);
  const Result<Store> store = Store::Open(common.segment, options);
  const std::string about = Escape(SegmentPath(common.segment));
  if (!store.ok()) {
    if (store.code() == Code::kAlreadyExists && arguments.if_absent) return false;
    Fail(store.status(), store.code() == Code::kAlreadyExists ? about + "; --if-absent accepts it" : about);
  }
  // Attach once, so that what this machine lacks shows now. A segment that its maker cannot use does not stay.
  const Result<Client> client = store->Connect();
  if (!client.ok()) {
    const Status removed = Store::Remove(common.segment);
    if (!removed.ok()) PrintError(removed, about);
    Fail(client.status(), about);
  }
  return true;
}

int RunCreate(const Program& program, CreateArguments& arguments) {
  Resolve(arguments.geometry);
  const bool created = MakeSegment(program.common, arguments);
  Client client = OpenClient(program.common);
  const Result<Stats> stats = client.GetStats();
  if (!stats.ok()) Fail(stats.status(), Escape(client.path()));
  if (program.common.json) {
    Json json = {{"created", created}};
    json.update(StatsJson(*stats, client.path()));
    PrintJson(json);
  } else {
    PrintLine(fmt::format("{} {} ({}, at most {} objects)", created ? "created" : "found", Escape(client.path()),
                          HumanBytes(stats->segment_size), stats->objects_max));
  }
  return kExitOk;
}

Json AuditJson(const AuditReport& report) {
  Json findings = Json::array();
  for (const Finding& finding : report.findings)
    findings.push_back({{"breach", BreachName(finding.breach)}, {"message", finding.message}});
  return {{"ok", report.ok()}, {"clients", report.clients}, {"findings", findings}};
}

std::string AuditText(const AuditReport& report) {
  if (report.ok()) return fmt::format("{:<14}well\n", "audit");
  std::string text;
  for (const Finding& finding : report.findings) text += fmt::format("{:<14}{}\n", "audit", finding.message);
  return text;
}

int RunStat(const Program& program, bool audit) {
  // What attaching would find, an audit finds too, and reports it like the rest.
  Client client = OpenClient(program.common, {.mode = OpenMode::kOpen, .audit = !audit});
  const Result<Stats> stats = client.GetStats();
  if (!stats.ok()) Fail(stats.status(), Escape(client.path()));
  const AuditReport report = audit ? Audit() : AuditReport();
  if (program.common.json) {
    Json json = StatsJson(*stats, client.path());
    if (audit) json["audit"] = AuditJson(report);
    PrintJson(json);
  } else {
    Print(StatsText(*stats, client.path()) + (audit ? AuditText(report) : ""));
  }
  return report.ok() ? kExitOk : kExitFailure;
}

int RunCheck(const Program& program) {
  const std::string path = SegmentPath(program.common.segment);
  if (access(path.c_str(), F_OK) != 0) {
    const Code code = errno == ENOENT || errno == ENOTDIR ? Code::kNoSegment : Code::kSystem;
    Fail(Status(code, "nothing to check", errno), Escape(path));
  }
  const CheckReport report = Store::Check(program.common.segment);
  if (program.common.json) {
    PrintJson({{"segment", path}, {"ok", report.ok}, {"busy", report.busy}, {"violations", report.violations}});
  } else if (report.ok) {
    PrintLine("ok");
  } else {
    std::string text;
    for (const std::string& violation : report.violations) text += "violation: " + Escape(violation) + '\n';
    if (report.busy) text += "busy: clients changed the segment all the while, so nothing can be said; try again\n";
    Print(text);
  }
  return report.ok ? kExitOk : kExitFailure;
}

int RunRecover(const Program& program) {
  Client client = OpenClient(program.common);
  const Result<RecoveryReport> report = client.Recover();
  if (!report.ok()) Fail(report.status(), Escape(client.path()));
  if (program.common.json) {
    PrintJson({{"segment", client.path()},
               {"recovered", report->recovered},
               {"alive", report->alive},
               {"bytes_reclaimed", report->bytes_reclaimed}});
  } else {
    PrintLine(fmt::format("recovered {} dead clients, {} alive (this one included), {} given back", report->recovered,
                          report->alive, HumanBytes(report->bytes_reclaimed)));
  }
  return kExitOk;
}

}  // namespace

void AddCreate(Program& program) {
  auto arguments = std::make_shared<CreateArguments>();
  CLI::App* command = AddCommand(program, "create", "Make a segment",
                                 "lightning-store create -s cache --size 2G --max-objects 1000000 --eviction lru");
  AddGeometry(*command, arguments->geometry);
  command->add_flag("--if-absent", arguments->if_absent, "Accept a segment that exists already, as it is");
  command->callback(
      [&program, arguments] { program.run = [&program, arguments] { return RunCreate(program, *arguments); }; });
}

void AddStat(Program& program) {
  auto audit = std::make_shared<bool>(false);
  CLI::App* command =
      AddCommand(program, "stat", "Show sizes and counts of a segment", "lightning-store stat --audit --json");
  command->add_flag("--audit", *audit,
                    "Also compare this process's mappings of the segment with what a client makes; exit 1 when they "
                    "differ, as they may where something is loaded into every program");
  command->callback([&program, audit] { program.run = [&program, audit] { return RunStat(program, *audit); }; });
}

void AddCheck(Program& program) {
  CLI::App* command =
      AddCommand(program, "check", "Check all invariants of a file that may be anything, read-only; exit 1 when broken",
                 "lightning-store check -s ./image");
  command->callback([&program] { program.run = [&program] { return RunCheck(program); }; });
}

void AddRecover(Program& program) {
  CLI::App* command = AddCommand(program, "recover", "Heal what dead clients left, now", "lightning-store recover");
  command->callback([&program] { program.run = [&program] { return RunRecover(program); }; });
}

}  // namespace lightning::cli
