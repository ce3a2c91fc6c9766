// What an engine found, and how anyone can see it again.
#pragma once

#include <string>
#include <vector>

namespace lightning::faults {

struct Finding {
  std::string part;       // step, kills, stray, ops
  std::string what;       // one sentence
  std::string reproduce;  // one command
  std::string kind = {};  // its class (failure_folder.h); empty: that of `what`
};
using Findings = std::vector<Finding>;

}  // namespace lightning::faults
