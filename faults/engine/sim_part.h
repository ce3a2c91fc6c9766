// The simulation, from the outside: it is a program of its own (lightning-faults-sim), since it runs the store built
// with LIGHTNING_SIM.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace lightning::faults {

struct SimRun {
  int status = 77;  // its exit status; 77: it could not be started, and `error` has the missing fact
  std::string error;
  nlohmann::json report;  // what it wrote with --json; docs/simulation.md has the fields
};

// Runs it with these arguments and --json. What it prints goes to this program's streams, or nowhere.
SimRun RunSimulation(const std::vector<std::string>& arguments, bool show);

}  // namespace lightning::faults
