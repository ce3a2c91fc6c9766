#include "store/cli/common.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <system_error>

#include "store/cli/text.h"

namespace lightning::cli {
namespace {

constexpr char kMark = '\x01';

const char* EvictionName(Eviction eviction) { return eviction == Eviction::kLru ? "lru" : "none"; }

// Best effort: when standard error is gone too, nobody is left to tell.
void PrintToStderr(std::string line) {
  for (char& c : line) {
    if (c == '\n' || c == '\r') c = ' ';
  }
  line += '\n';
  size_t done = 0;
  while (done < line.size()) {
    const ssize_t n = write(STDERR_FILENO, line.data() + done, line.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    done += static_cast<size_t>(n);
  }
}

int ExitCode(Code code) {
  switch (code) {
    case Code::kUnsupported:
      return kExitCannotRun;
    case Code::kInvalidKey:
    case Code::kInvalidArgument:
      return kExitUsage;
    default:
      return kExitFailure;
  }
}

}  // namespace

CLI::App* AddCommand(Program& program, const std::string& name, const std::string& description,
                     const std::string& example) {
  CLI::App* command = program.app->add_subcommand(name, description);
  command->footer("Example: " + example);
  AddCommon(*command, program.common);
  return command;
}

void AddCommon(CLI::App& app, Common& common) {
  AddText(app, "-s,--segment", common.segment,
          "Segment: a name under /dev/shm, or a path with a slash (env LIGHTNING_SEGMENT, else \"lightning\")");
  app.add_option("--isolation", common.isolation,
                 "How this client is kept from stray writes: auto (default), keys, "
                 "mprotect, hidden or none")
      ->check(CLI::IsMember({"auto", "keys", "mprotect", "hidden", "none"}));
  app.add_flag("--json", common.json, "Report as JSON");
}

std::vector<CLI::Option*> AddGeometry(CLI::App& app, Geometry& geometry) {
  Options& options = geometry.options;
  return {
      AddText(app, "--size", geometry.size,
              "Bytes of the whole segment, with K, M, G or T; rounded up to 4K (default 256M)"),
      app.add_option("--max-objects", geometry.max_objects,
                     "Objects at most (default: one for 4K of size, up to 65536)"),
      app.add_option("--max-clients", geometry.max_clients,
                     "Clients attached at the same time (default: one for 128K of size, 8 to 64)"),
      app.add_option("--max-pins", geometry.max_pins,
                     "Handles one client may hold (default: as --max-objects, up to 8192)"),
      app.add_option("--events", options.event_slots, "Events a subscriber may lag behind (default 256)"),
      app.add_option("--eviction", geometry.eviction, "What a full segment does: none (default) fails, lru evicts")
          ->check(CLI::IsMember({"none", "lru"})),
      app.add_flag("--prefault", options.prefault, "Touch every page now rather than at first use"),
      app.add_flag("--huge-pages", options.huge_pages, "Ask for huge pages where the system allows them"),
  };
}

void Resolve(Geometry& geometry) {
  if (!geometry.size.empty()) {
    const std::optional<uint64_t> size = ParseSize(geometry.size);
    if (!size.has_value()) FailUsage(fmt::format("--size {}: give bytes, such as 1048576, 64M or 2G", geometry.size));
    constexpr uint64_t kPage = 4096;
    geometry.options.size = *size > UINT64_MAX - kPage ? *size : (*size + kPage - 1) / kPage * kPage;
  }
  // The tables of the library's defaults would fill a small segment.
  Options& options = geometry.options;
  const uint64_t objects = std::clamp<uint64_t>(options.size / 4096, 64, options.max_objects);
  options.max_objects = geometry.max_objects.value_or(static_cast<uint32_t>(objects));
  const uint64_t clients = std::clamp<uint64_t>(options.size / (128 * 1024), 8, options.max_clients);
  options.max_clients = geometry.max_clients.value_or(static_cast<uint32_t>(clients));
  options.max_pins = geometry.max_pins.value_or(std::clamp(options.max_objects, 64U, options.max_pins));
  geometry.options.eviction = geometry.eviction == "lru" ? Eviction::kLru : Eviction::kNone;
}

CLI::Option* AddText(CLI::App& app, const std::string& name, std::string& value, const std::string& description) {
  return app.add_option_function<std::string>(
      name, [&value](const std::string& argument) { value = Unprotect(argument); }, description);
}

std::vector<std::string> Protect(int argc, const char* const* argv) {
  std::vector<std::string> arguments;
  bool raw = false;
  for (int i = 1; i < argc; ++i) {
    std::string argument = argv[i];
    if (!raw && argument == "--") {
      raw = true;
      continue;
    }
    const bool special = argument.empty() || std::string_view("[{%+\x01").find(argument[0]) != std::string_view::npos;
    if (raw || special) argument.insert(0, 1, kMark);
    arguments.push_back(std::move(argument));
  }
  return {arguments.rbegin(), arguments.rend()};
}

std::string Unprotect(const std::string& argument) {
  return !argument.empty() && argument[0] == kMark ? argument.substr(1) : argument;
}

void PrintError(const Status& status, const std::string& about) {
  PrintToStderr("lightning-store: " + status.ToString() + (about.empty() ? "" : " [" + about + "]"));
}

void Fail(const Status& status, const std::string& about) {
  PrintError(status, about);
  throw Exit{ExitCode(status.code())};
}

void FailUsage(const std::string& message) {
  PrintToStderr("lightning-store: USAGE: " + message);
  throw Exit{kExitUsage};
}

std::string SegmentPath(const std::string& name) {
  return name.find('/') == std::string::npos ? "/dev/shm/" + name : name;
}

Isolation ParsedIsolation(const Common& common) {
  Isolation isolation = Isolation::kAuto;
  if (!ParseIsolation(common.isolation.c_str(), &isolation)) {
    FailUsage(fmt::format("--isolation {}: give auto, keys, mprotect, hidden or none", common.isolation));
  }
  return isolation;
}

Client OpenClient(const Common& common, Options options) {
  options.isolation = ParsedIsolation(common);
  const auto fail = [&common](const Status& status) {
    std::string about = Escape(SegmentPath(common.segment));
    if (status.code() == Code::kNoSegment) {
      about += "; to make it, run: lightning-store create -s " + Escape(common.segment);
    }
    Fail(status, about);
  };
  Result<Store> store = Store::Open(common.segment, options);
  if (!store.ok()) fail(store.status());
  Result<Client> client = store->Connect();
  if (!client.ok()) fail(client.status());
  return std::move(*client);
}

std::string DecodeKey(const std::string& argument, bool hex) {
  if (!hex) return argument;
  std::optional<std::string> key = FromHex(argument);
  if (!key.has_value()) FailUsage(fmt::format("--key-hex: '{}' is not pairs of hexadecimal digits", Escape(argument)));
  return *std::move(key);
}

std::string AboutKey(std::string_view key) {
  static constexpr size_t kShown = 200;  // an error stays one readable line
  return fmt::format("key \"{}\"{}", Escape(key.substr(0, kShown)), key.size() > kShown ? "..." : "");
}

std::chrono::nanoseconds Seconds(double seconds, const char* option) {
  if (!std::isfinite(seconds) || seconds < 0) FailUsage(fmt::format("{}: give seconds, zero or more", option));
  const double capped = std::min(seconds, 1e9);  // 30 years; more would overflow nanoseconds
  return std::chrono::nanoseconds(static_cast<int64_t>(capped * 1e9));
}

void WriteFile(int fd, std::string_view bytes, const std::string& name) {
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n = write(fd, bytes.data() + done, bytes.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EPIPE) throw Exit{kExitFailure};  // the reader left: not all arrived, but nothing is wrong
    if (n < 0) Fail(Status(Code::kSystem, "cannot write the output", errno), name);
    done += static_cast<size_t>(n);
  }
}

void Print(std::string_view text) { WriteFile(STDOUT_FILENO, text, "standard output"); }

void PrintLine(std::string_view text) { Print(std::string(text) + '\n'); }

void PrintJson(const Json& json) { PrintLine(json.dump(-1, ' ', false, Json::error_handler_t::replace)); }

void AddKey(Json& json, std::string_view key) {
  json["key"] = IsUtf8(key) ? Json(std::string(key)) : Json(nullptr);
  json["key_hex"] = ToHex(key);
}

void AddBytes(Json& json, const std::string& name, Bytes bytes) {
  const std::string_view text = AsText(bytes);
  json[name] = IsUtf8(text) ? Json(std::string(text)) : Json(nullptr);
  json[name + "_base64"] = ToBase64(text);
}

Json StatsJson(const Stats& stats, const std::string& path) {
  return {
      {"segment", path},
      {"isolation", IsolationName(stats.isolation)},
      {"segment_size", stats.segment_size},
      {"bytes_total", stats.bytes_total},
      {"bytes_used", stats.bytes_used},
      {"bytes_retired", stats.bytes_retired},
      {"bytes_free", stats.bytes_free},
      {"largest_free", stats.largest_free},
      {"objects", stats.objects},
      {"objects_max", stats.objects_max},
      {"clients", stats.clients},
      {"clients_max", stats.clients_max},
      {"recoveries", stats.recoveries},
      {"evictions", stats.evictions},
      {"gets", stats.gets},
      {"puts", stats.puts},
      {"deletes", stats.deletes},
      {"eviction", EvictionName(stats.eviction)},
  };
}

std::string StatsText(const Stats& stats, const std::string& path) {
  std::string text;
  const auto line = [&text](const char* name, const std::string& value) {
    text += fmt::format("{:<14}{}\n", name, value);
  };
  line("segment", Escape(path));
  line("isolation", IsolationName(stats.isolation));
  line("size", HumanBytes(stats.segment_size));
  line("used", fmt::format("{} of {}", HumanBytes(stats.bytes_used), HumanBytes(stats.bytes_total)));
  line("retired", HumanBytes(stats.bytes_retired));
  line("free", fmt::format("{} (largest extent {})", HumanBytes(stats.bytes_free), HumanBytes(stats.largest_free)));
  line("objects", fmt::format("{} of {}", stats.objects, stats.objects_max));
  line("clients", fmt::format("{} of {}", stats.clients, stats.clients_max));
  line("operations", fmt::format("{} gets, {} puts, {} deletes", stats.gets, stats.puts, stats.deletes));
  line("recoveries", fmt::format("{}", stats.recoveries));
  line("evictions", fmt::format("{} (eviction {})", stats.evictions, EvictionName(stats.eviction)));
  return text;
}

namespace {
sigset_t StopSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  return signals;
}
}  // namespace

void HoldStopSignals() {
  const sigset_t signals = StopSignals();
  sigprocmask(SIG_BLOCK, &signals, nullptr);
}

bool StopWithin(std::chrono::nanoseconds duration) {
  const sigset_t signals = StopSignals();
  const auto deadline = std::chrono::steady_clock::now() + duration;
  while (true) {
    const auto left = std::max(deadline - std::chrono::steady_clock::now(), std::chrono::nanoseconds(0));
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
    const timespec wait = {.tv_sec = seconds.count(), .tv_nsec = (left - seconds).count()};
    if (sigtimedwait(&signals, nullptr, &wait) > 0) return true;
    if (errno != EINTR) return false;  // EAGAIN: the time is over
  }
}

}  // namespace lightning::cli
