// The subcommands of lightning-faults.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

namespace lightning::faults {

// Exit statuses that scripts rely on.
inline constexpr int kWell = 0, kFound = 1, kUsage = 2, kUnknown = 3, kCannotRun = 77;

int Main(int argc, char** argv);

// Each adds its subcommand; `*action` becomes what runs when it was chosen.
using Action = std::function<int()>;
void AddCampaign(CLI::App& app, Action* action);
void AddStep(CLI::App& app, Action* action);
void AddKills(CLI::App& app, Action* action);
void AddStray(CLI::App& app, Action* action);
void AddOps(CLI::App& app, Action* action);
void AddCheckHistory(CLI::App& app, Action* action);
void AddMakeHistory(CLI::App& app, Action* action);

}  // namespace lightning::faults
