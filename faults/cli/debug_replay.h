// A kept failure under a debugger: gdb at the instruction after which the client was killed; a recording by rr; a
// recording in an emulated machine.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace lightning::faults {

// gdb, stopped at the killing instruction, with the store's structures printed. `batch`: prints and ends. kFound when
// gdb showed it, kCannotRun after the missing fact on standard error.
int ReplayInGdb(const std::string& folder, const nlohmann::json& verdict, bool batch);

// Records the replay with rr and prints the command that replays the recording; kCannotRun after the missing fact.
int ReplayInRr(const std::string& folder);

// Records the replay in an emulated machine, replays the recording instruction for instruction, compares what both
// printed, and prints how gdb gets at it. kFound when both show the failure, kCannotRun after the missing fact.
int ReplayInMachine(const std::string& folder);

// What keeps this machine from counting retired branches, which rr needs; "" when nothing does. Asks the counter
// itself.
std::string MissingForRr();

}  // namespace lightning::faults
