// What the gate's operations cost: measured here, kept in costs.json, and shown in docs/isolation.md.
#pragma once

#include <string>
#include <vector>

namespace lightning::routes {

struct Cost {
  std::string machine, date, kernel;  // where and when
  std::string mode, operation;
  double ns = 0;
  double to_ns = 0;  // where a range was measured: its upper end
};

// In each mode that the machine has; an emulated machine's says nothing about any.
std::vector<Cost> MeasureCosts();
// Of a file; empty when it is none.
std::vector<Cost> ReadCosts(const std::string& path);
// Replaces what `path` has of the modes of `costs`, which are whole; the others stay. False: it cannot be written.
bool WriteCosts(const std::string& path, const std::vector<Cost>& costs);
// A markdown table, a line an operation and a column a mode.
std::string CostsTable(const std::vector<Cost>& costs);
// Which modes were measured where, a sentence each.
std::string CostsMachines(const std::vector<Cost>& costs);

}  // namespace lightning::routes
