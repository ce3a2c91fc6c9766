// The subcommands of lightning-faults.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

namespace lightning::faults {

// Exit statuses that scripts rely on.
inline constexpr int kWell = 0, kFound = 1, kUsage = 2, kUndecided = 3, kCannotRun = 77;

int Main(int argc, char** argv);

// Each adds its subcommand; `*command` becomes what runs when it was chosen.
using Command = std::function<int()>;
void AddCampaign(CLI::App& app, Command* command);
void AddMutants(CLI::App& app, Command* command);
void AddStep(CLI::App& app, Command* command);
void AddKills(CLI::App& app, Command* command);
void AddStray(CLI::App& app, Command* command);
void AddAudit(CLI::App& app, Command* command);
void AddOps(CLI::App& app, Command* command);
void AddCoverage(CLI::App& app, Command* command);
void AddPlan(CLI::App& app, Command* command);
void AddRun(CLI::App& app, Command* command);
void AddReplay(CLI::App& app, Command* command);  // and pack
void AddTarget(CLI::App& app, Command* command);
void AddKillAt(CLI::App& app, Command* command);
void AddCheckHistory(CLI::App& app, Command* command);
void AddMakeHistory(CLI::App& app, Command* command);

}  // namespace lightning::faults
