// The last run of the whole matrix, for docs/isolation.md: what the table expects is one thing, what ran another.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace lightning::routes {

struct LastRun {
  struct Lane {
    std::string mode, lane, machine;
    size_t rows = 0;  // that have a verdict
  };
  std::vector<Lane> lanes;
  std::map<std::string, std::string> not_run;  // the row's test, and the missing fact

  // Rows of the table that it was made from.
  size_t rows() const;
};

// From pkeys_tests/routes/last_run.json, which `ci/isolation --record` writes.
LastRun ReadLastRun();

}  // namespace lightning::routes
