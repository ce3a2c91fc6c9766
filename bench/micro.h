// Timing of single operations by one process that did not make the segment, in every mode of the machine by turns.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "bench/driver.h"
#include "bench/settings.h"
#include "lightning/client.h"

namespace lightning::bench {

struct ModeClient {
  Isolation mode;
  Client client;
};

// Clients of the store at `path`: the headline mode first, then the others of none, mprotect, keys, hidden. Modes that
// this machine lacks are left out and named in `absent`; any other failure stands in `error`.
std::vector<ModeClient> ConnectModes(const Settings& settings, const std::string& path, std::string* absent,
                                     std::string* error);

// Runs load(client) on the store at `path` in another process, made there with `options`. An error's text, or empty.
std::string LoadElsewhere(const std::string& path, const Options& options, const std::function<Status(Client*)>& load);

// Nanoseconds of one operation, one sample a batch: batch() does `ops` of them and returns false on an error. At least
// three batches, and then as many as fit into `budget_ns`.
template <typename Batch>
bool TimeBatches(uint32_t ops, uint64_t budget_ns, std::vector<double>* samples, Batch batch) {
  const uint64_t begin = NowNs();
  for (uint32_t i = 0; i < 3 || NowNs() - begin < budget_ns; ++i) {
    const uint64_t start = NowNs();
    if (!batch()) return false;
    samples->push_back(static_cast<double>(NowNs() - start) / ops);
  }
  return true;
}

}  // namespace lightning::bench
