// What a failure leaves behind, whichever engine met it: a folder that shows everything about it and from which
// `lightning-faults replay` repeats it. docs/debugging.md describes the files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "faults/plan/plan.h"

namespace lightning::faults {

struct Failure {
  std::string engine;                    // step, sim, or another part of the campaign
  std::string kind;                      // its class: FailureClass() of what is wrong, without where
  std::string what;                      // one sentence
  std::string command;                   // that found it
  nlohmann::json settings;               // an object: what the engine needs to repeat it, beside the plan
  std::optional<Plan> plan, found_as;    // as small as it could be made, and as it was met
  std::vector<std::byte> before, after;  // the segment at the death, and after recovery; empty: not known
  std::string trace;
};

// A sentence without the names and numbers in it: failures of one class differ by those alone.
std::string FailureClass(const std::string& what);

// Writes the folder below `parent`, with a name that follows from the failure. `*folder` is its path; an error text,
// or "".
std::string LeaveFailure(const std::string& parent, const Failure& failure, std::string* folder);

// The command that repeats what a folder holds.
std::string ReplayCommand(const std::string& folder);

// verdict.json of such a folder, an object; an error text, or "".
std::string ReadVerdict(const std::string& folder, nlohmann::json* verdict);

}  // namespace lightning::faults
