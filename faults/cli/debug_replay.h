// A kept failure under a debugger: gdb at the instruction after which the client was killed; a recording by rr; a
// recording in an emulated machine.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace lightning::faults {

// gdb, stopped at the killing instruction, with the store's structures printed. `batch`: prints and ends. kFound when
// gdb showed it, kCannotRun after the missing fact on standard error.
int ReplayInGdb(const std::string& folder, const nlohmann::json& verdict, bool batch);

// Records the replay with rr, packs the recording and prints the command that goes from it to the writer of the
// corrupted word (faults/gdb/rr_steps.py); kCannotRun after the missing fact, kFound when the recording failed or has
// the failure.
int ReplayInRr(const std::string& folder);

// Records the replay in an emulated machine, replays the recording instruction for instruction and compares what both
// printed. kWell when both show the failure, kCannotRun after the missing fact, kFound when recording or replay failed.
int ReplayInMachine(const std::string& folder, const nlohmann::json& verdict);
// The same recording in gdb, at the store that changed the corrupted word last (step), or where the failure is noted
// (sim). `batch`: prints and ends.
int ReplayInMachineInGdb(const std::string& folder, const nlohmann::json& verdict, bool batch);

// What keeps this machine from counting retired branches, which rr needs; "" when nothing does. Asks the counter
// itself.
std::string MissingForRr();

// For those: this program's file; a script of faults/gdb, from the sources or where an installation puts it, or "";
// the beginning of a gdb command line with the printers, of a gdb that prints and ends if `batch`; a whole file, or "".
std::string OwnProgram();
std::string GdbScript(const std::string& name);
std::vector<std::string> GdbCommand(const std::string& printers, bool batch);
std::string ReadText(const std::filesystem::path& file);

}  // namespace lightning::faults
