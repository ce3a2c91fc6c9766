// Commands that go on until they are told to stop: reap, top, watch.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <ctime>
#include <memory>
#include <nlohmann/json.hpp>

#include "store/cli/common.h"
#include "store/cli/text.h"

namespace lightning::cli {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::nanoseconds;

// No wait inside the library is longer than this, so that a stop signal is obeyed promptly.
constexpr nanoseconds kSlice = std::chrono::milliseconds(50);

struct ReapArguments {
  double interval = 1;
  bool once = false;
  bool harden = false;
};

int RunReap(const Program& program, const ReapArguments& arguments) {
  const nanoseconds interval = Seconds(arguments.interval, "--interval");
  HoldStopSignals();
  Client client = OpenClient(program.common);
  if (arguments.harden) {
    const Status hardened = Harden();
    if (!hardened.ok()) Fail(hardened, Escape(client.path()));
  }
  do {
    const Result<RecoveryReport> report = client.Recover();
    // A living peer that does not move is no reason for the reaper to leave: the next round may get past it.
    if (!report.ok() && (arguments.once || report.code() != Code::kTimeout)) {
      Fail(report.status(), Escape(client.path()));
    }
    if (!report.ok()) {
      PrintError(report.status(), Escape(client.path()));
    } else if (arguments.once || report->recovered > 0 || report->bytes_reclaimed > 0) {
      if (program.common.json) {
        PrintJson(
            {{"recovered", report->recovered}, {"alive", report->alive}, {"bytes_reclaimed", report->bytes_reclaimed}});
      } else {
        PrintLine(fmt::format("recovered {} dead clients, {} alive (this one included), {} given back",
                              report->recovered, report->alive, HumanBytes(report->bytes_reclaimed)));
      }
    }
  } while (!arguments.once && !StopWithin(std::max(interval, nanoseconds(std::chrono::milliseconds(1)))));
  return kExitOk;
}

struct TopArguments {
  double interval = 1;
  uint64_t count = 0;  // 0: until it is stopped
};

struct Sample {
  Stats stats;
  Clock::time_point at;
};

struct Rates {
  double gets, puts, deletes;
  double total() const { return gets + puts + deletes; }
};

// A client that leaves takes its counts along, so a sum may fall: that reads as zero, not as a negative rate.
Rates RatesBetween(const Sample& before, const Sample& now) {
  const double seconds = std::max(std::chrono::duration<double>(now.at - before.at).count(), 1e-9);
  const auto rate = [seconds](uint64_t from, uint64_t to) {
    return to > from ? static_cast<double>(to - from) / seconds : 0.0;
  };
  return {rate(before.stats.gets, now.stats.gets), rate(before.stats.puts, now.stats.puts),
          rate(before.stats.deletes, now.stats.deletes)};
}

std::string ClockText() {
  const time_t now = time(nullptr);
  tm parts{};
  localtime_r(&now, &parts);
  return fmt::format("{:02}:{:02}:{:02}", parts.tm_hour, parts.tm_min, parts.tm_sec);
}

std::string TopScreen(const Stats& stats, const Rates& rates, const std::string& path) {
  return fmt::format("lightning-store top  {}  isolation {}  {}\n", Escape(path), IsolationName(stats.isolation),
                     ClockText()) +
         fmt::format("ops/s       {:.0f}  (gets {:.0f}, puts {:.0f}, deletes {:.0f})\n", rates.total(), rates.gets,
                     rates.puts, rates.deletes) +
         fmt::format("bytes       {} of {} used, {} retired, {} free\n", HumanBytes(stats.bytes_used),
                     HumanBytes(stats.bytes_total), HumanBytes(stats.bytes_retired), HumanBytes(stats.bytes_free)) +
         fmt::format("objects     {} of {}\n", stats.objects, stats.objects_max) +
         fmt::format("clients     {} of {} (this one included)\n", stats.clients, stats.clients_max) +
         fmt::format("recoveries  {}   evictions {}\n", stats.recoveries, stats.evictions);
}

Json TopJson(const Stats& stats, const Rates& rates, const std::string& path) {
  Json json = StatsJson(stats, path);
  json["ops_per_second"] = rates.total();
  json["gets_per_second"] = rates.gets;
  json["puts_per_second"] = rates.puts;
  json["deletes_per_second"] = rates.deletes;
  return json;
}

std::string TopLine(const Stats& stats, const Rates& rates) {
  return fmt::format("{} {:>12.0f} {:>14} {:>14} {:>10} {:>8} {:>10}", ClockText(), rates.total(), stats.bytes_used,
                     stats.bytes_free, stats.objects, stats.clients, stats.recoveries);
}

Sample TakeSample(Client& client) {
  const Result<Stats> stats = client.GetStats();
  if (!stats.ok()) Fail(stats.status(), Escape(client.path()));
  return {*stats, Clock::now()};
}

int RunTop(const Program& program, const TopArguments& arguments) {
  const nanoseconds interval = Seconds(arguments.interval, "--interval");
  if (interval < std::chrono::milliseconds(10)) FailUsage("--interval: give 0.01 seconds or more");
  HoldStopSignals();
  Client client = OpenClient(program.common);
  const bool redraw = !program.common.json && isatty(STDOUT_FILENO) != 0;
  if (!redraw && !program.common.json) {
    PrintLine(fmt::format("{:<8} {:>12} {:>14} {:>14} {:>10} {:>8} {:>10}", "time", "ops/s", "bytes_used", "bytes_free",
                          "objects", "clients", "recoveries"));
  }
  Sample before = TakeSample(client);
  for (uint64_t shown = 0; arguments.count == 0 || shown < arguments.count; ++shown) {
    if (StopWithin(interval)) break;
    const Sample now = TakeSample(client);
    const Rates rates = RatesBetween(before, now);
    before = now;
    if (program.common.json) {
      PrintJson(TopJson(now.stats, rates, client.path()));
    } else if (redraw) {
      const std::string screen = TopScreen(now.stats, rates, client.path());
      const auto lines = std::count(screen.begin(), screen.end(), '\n');
      // Back up over the last picture and clear from there, so that what stood above it stays.
      Print((shown > 0 ? fmt::format("\x1b[{}A\x1b[J", lines) : "") + screen);
    } else {
      PrintLine(TopLine(now.stats, rates));
    }
  }
  return kExitOk;
}

struct WatchArguments {
  uint64_t count = 0;   // 0: no limit
  double timeout = -1;  // negative: none
  bool has_timeout = false;
};

void PrintEvent(const Event& event, bool json) {
  if (!json) {
    PrintLine(fmt::format("{} {} version {} size {} {}", event.sequence, EventKindName(event.kind), event.version,
                          event.size, Escape(event.key)));
    return;
  }
  Json line = {{"event", EventKindName(event.kind)}, {"sequence", event.sequence}};
  AddKey(line, event.key);
  line["version"] = event.version;
  line["size"] = event.size;
  PrintJson(line);
}

int RunWatch(const Program& program, const WatchArguments& arguments) {
  const nanoseconds timeout =
      arguments.has_timeout ? Seconds(arguments.timeout, "--timeout") : Seconds(1e9, "--timeout");
  HoldStopSignals();
  Client client = OpenClient(program.common);
  Result<Subscription> subscription = client.Subscribe();
  if (!subscription.ok()) Fail(subscription.status(), Escape(client.path()));
  // On standard error, so that a script knows from when on nothing is missed, and standard output holds events alone.
  const std::string ready = fmt::format("lightning-store: watching {}\n", Escape(client.path()));
  WriteFile(STDERR_FILENO, ready, "standard error");
  const Clock::time_point deadline = Clock::now() + timeout;
  uint64_t seen = 0;
  uint64_t lost = 0;
  while (arguments.count == 0 || seen < arguments.count) {
    if (StopWithin(nanoseconds(0))) return kExitOk;
    const nanoseconds left = std::max(deadline - Clock::now(), nanoseconds(0));
    // Never zero: that would stand for the client's own default.
    const nanoseconds wait = std::clamp<nanoseconds>(left, std::chrono::milliseconds(1), kSlice);
    const Result<Event> event = subscription->Next(wait);
    if (event.ok()) {
      PrintEvent(*event, program.common.json);
      ++seen;
    } else if (event.code() == Code::kFellBehind) {
      const uint64_t now_lost = subscription->lost() - lost;
      lost = subscription->lost();
      if (program.common.json) {
        PrintJson({{"event", "fell_behind"}, {"lost", now_lost}});
      } else {
        PrintLine(fmt::format("fell behind: {} events lost", now_lost));
      }
    } else if (event.code() != Code::kTimeout) {
      Fail(event.status(), Escape(client.path()));
    } else if (Clock::now() >= deadline) {
      if (arguments.count == 0) return kExitOk;
      Fail(event.status(), fmt::format("{} of {} events came within --timeout", seen, arguments.count));
    }
  }
  return kExitOk;
}

}  // namespace

void AddReap(Program& program) {
  auto arguments = std::make_shared<ReapArguments>();
  CLI::App* command = AddCommand(program, "reap", "Recover dead clients in a loop until SIGTERM or SIGINT",
                                 "lightning-store reap --interval 0.1");
  command->add_option("--interval", arguments->interval, "Seconds between two rounds (default 1)");
  command->add_flag("--once", arguments->once, "One round, then leave");
  command->add_flag("--harden", arguments->harden, "Forbid this process what could take its isolation away");
  command->callback(
      [&program, arguments] { program.run = [&program, arguments] { return RunReap(program, *arguments); }; });
}

void AddTop(Program& program) {
  auto arguments = std::make_shared<TopArguments>();
  CLI::App* command = AddCommand(program, "top", "Show operations a second, bytes, clients and recoveries, live",
                                 "lightning-store top --interval 0.5 --count 20");
  command->add_option("--interval", arguments->interval, "Seconds between two samples (default 1)");
  command->add_option("-n,--count", arguments->count, "Leave after so many samples");
  command->callback(
      [&program, arguments] { program.run = [&program, arguments] { return RunTop(program, *arguments); }; });
}

void AddWatch(Program& program) {
  auto arguments = std::make_shared<WatchArguments>();
  CLI::App* command = AddCommand(program, "watch", "Print what is sealed, deleted and evicted, line by line",
                                 "lightning-store watch --count 1 --timeout 30 --json");
  command->add_option("-n,--count", arguments->count, "Leave after so many events");
  CLI::Option* timeout = command->add_option("--timeout", arguments->timeout,
                                             "Leave after so many seconds in all; exit 1 if --count was not reached");
  command->callback([&program, arguments, timeout] {
    arguments->has_timeout = timeout->count() > 0;
    program.run = [&program, arguments] { return RunWatch(program, *arguments); };
  });
}

}  // namespace lightning::cli
