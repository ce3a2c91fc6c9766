// What the commands leave of the failures that they find, and say about them.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>

#include "faults/engine/parts.h"

namespace lightning::faults {

struct KeepOptions {
  std::string folder = "lightning-failures";
  double minimise = 20;  // seconds
  bool keep = true;
};

// --folder, --minimise, --no-keep.
void AddKeepOptions(CLI::App* app, KeepOptions* options);

// The same for lightning-faults-sim.
std::vector<std::string> SimArguments(const KeepOptions& options);

// Leaves a folder for each finding that has none yet (those of the simulation have one) and puts the command that
// replays it in place of the one that found it. `failed`: where the step engine failed, if it did. The folders, by
// finding; "" for one that could not be left, after a message on standard error.
std::vector<std::string> KeepFindings(const KeepOptions& options, const std::optional<StepFailed>& failed,
                                      Isolation isolation, uint64_t seed, Findings* findings);

// For the parts without plans: leaves what they found and prints it; the exit status.
int KeepAndPrint(const KeepOptions& options, uint64_t seed, Findings* findings);

}  // namespace lightning::faults
