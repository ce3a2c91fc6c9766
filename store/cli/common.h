// What every command of lightning-store shares: its options, how it opens a segment, and how it ends.
//
// Exit codes: 0 well, 1 a failure (or an absent key), 2 wrong usage, 77 this machine cannot run it.
// A command ends early by throwing Exit, so that its client detaches on the way out; nothing here calls exit().
#pragma once

#include <CLI/App.hpp>
#include <chrono>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lightning/lightning.h"

namespace lightning::cli {

using Json = nlohmann::ordered_json;

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailure = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitCannotRun = 77;

struct Exit {
  int code;
};

// Options that each command takes.
struct Common {
  std::string segment;
  std::string isolation = "auto";
  bool json = false;
};

// Options that a command takes which may make a segment.
struct Geometry {
  Options options;
  std::string size;
  std::string eviction = "none";
  std::optional<uint32_t> max_objects;  // absent, here and below: what suits the size
  std::optional<uint32_t> max_clients;
  std::optional<uint32_t> max_pins;
};

struct Program {
  CLI::App* app = nullptr;
  Common common;
  std::function<int()> run;  // the chosen command, set while the arguments are parsed
};

// Reads the arguments, after which `program.run` is the chosen command. Throws Exit when they are wrong, or when help
// was asked for and printed. `app` and `program` are fresh, and live as long as each other.
void Parse(int argc, const char* const* argv, CLI::App& app, Program& program);

// Adds a command: `example` is shown at the end of its help.
CLI::App* AddCommand(Program& program, const std::string& name, const std::string& description,
                     const std::string& example);
void AddCommon(CLI::App& app, Common& common);
// Adds --size and its kin; returns them.
std::vector<CLI::Option*> AddGeometry(CLI::App& app, Geometry& geometry);
// Makes `geometry.options` of what was given; usage error when that is wrong.
void Resolve(Geometry& geometry);

// A string option or positional whose value may be any argument at all (see Protect).
CLI::Option* AddText(CLI::App& app, const std::string& name, std::string& value, const std::string& description);

// The argument parser gives a meaning of its own to arguments such as "[a,b]", "{}", "++" and "%%". Protect marks
// those, and everything behind the first "--", so that they pass through as they are; Unprotect takes the mark away.
// Returns the arguments in reverse order, as the parser wants them.
std::vector<std::string> Protect(int argc, const char* const* argv);
std::string Unprotect(const std::string& argument);

// One line on standard error, then Exit with the code that belongs to the status.
[[noreturn]] void Fail(const Status& status, const std::string& about = {});
[[noreturn]] void FailUsage(const std::string& message);
void PrintError(const Status& status, const std::string& about = {});

// The path behind a segment's name.
std::string SegmentPath(const std::string& name);
// Opens the segment and connects a client to it; Fail when that does not work. `options` gives the open mode.
Client OpenClient(const Common& common, Options options = {.mode = OpenMode::kOpen});
Isolation ParsedIsolation(const Common& common);

// The key as bytes; usage error when `hex` asks for hexadecimal digits and it is not that.
std::string DecodeKey(const std::string& argument, bool hex);
// `key "..."`, for messages.
std::string AboutKey(std::string_view key);
// Finite and not negative, else a usage error that names `option`.
std::chrono::nanoseconds Seconds(double seconds, const char* option);

// Everything goes out at once and unbuffered; Exit when nobody reads it any more (in silence) or it cannot be written.
void Print(std::string_view text);
void PrintLine(std::string_view text);
void PrintJson(const Json& json);
void WriteFile(int fd, std::string_view bytes, const std::string& name);

// {"key": text or null, "key_hex": ...}
void AddKey(Json& json, std::string_view key);
// {"<name>": text or null, "<name>_base64": ...}
void AddBytes(Json& json, const std::string& name, Bytes bytes);
Json StatsJson(const Stats& stats, const std::string& path);
std::string StatsText(const Stats& stats, const std::string& path);

inline std::string_view AsText(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

// SIGINT and SIGTERM are held back from now on and wait to be asked for, so that a loop ends between two operations.
void HoldStopSignals();
// Sleeps, but returns true at once when a stop signal came.
bool StopWithin(std::chrono::nanoseconds duration);

// One for each command.
void AddCreate(Program& program);
void AddPut(Program& program);
void AddGet(Program& program);
void AddDelete(Program& program);
void AddList(Program& program);
void AddStat(Program& program);
void AddCheck(Program& program);
void AddRecover(Program& program);
void AddReap(Program& program);
void AddTop(Program& program);
void AddDump(Program& program);
void AddWatch(Program& program);

}  // namespace lightning::cli
