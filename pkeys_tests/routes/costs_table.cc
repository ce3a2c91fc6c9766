#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>

#include "pkeys_tests/routes/costs.h"

namespace lightning::routes {
namespace {

constexpr const char* kModes[] = {"keys", "mprotect", "hidden", "none"};

std::string Text(double ns) {
  char text[32];
  if (ns < 100) {
    snprintf(text, sizeof text, ns == static_cast<int>(ns) ? "%.0f ns" : "%.1f ns", ns);
  } else if (ns < 1000) {
    snprintf(text, sizeof text, "%.0f ns", ns);
  } else {
    snprintf(text, sizeof text, ns < 10'000 ? "%.1f µs" : "%.0f µs", ns / 1000);
  }
  return text;
}

const Cost* Find(const std::vector<Cost>& costs, const std::string& operation, const char* mode) {
  const auto found = std::find_if(costs.begin(), costs.end(),
                                  [&](const Cost& cost) { return cost.operation == operation && cost.mode == mode; });
  return found == costs.end() ? nullptr : &*found;
}

}  // namespace

std::vector<Cost> ReadCosts(const std::string& path) {
  std::ifstream in(path);
  const nlohmann::json json = nlohmann::json::parse(in, nullptr, /*allow_exceptions=*/false);
  std::vector<Cost> costs;
  if (!json.is_array()) return costs;
  for (const auto& its : json) {
    costs.push_back({its.at("machine"), its.at("date"), its.at("kernel"), its.at("mode"), its.at("operation"),
                     its.at("ns"), its.value("to_ns", 0.0)});
  }
  return costs;
}

bool WriteCosts(const std::string& path, const std::vector<Cost>& costs) {
  std::vector<Cost> all = ReadCosts(path);
  std::erase_if(all, [&](const Cost& old) {
    return std::any_of(costs.begin(), costs.end(), [&](const Cost& cost) { return cost.mode == old.mode; });
  });
  all.insert(all.end(), costs.begin(), costs.end());
  std::ofstream out(path);
  out << "[";
  const char* separator = "\n";
  for (const Cost& cost : all) {
    nlohmann::ordered_json json = {{"machine", cost.machine}, {"date", cost.date},           {"kernel", cost.kernel},
                                   {"mode", cost.mode},       {"operation", cost.operation}, {"ns", cost.ns}};
    if (cost.to_ns > 0) json["to_ns"] = cost.to_ns;
    out << separator << json.dump();
    separator = ",\n";
  }
  out << "\n]\n";
  return static_cast<bool>(out.flush());
}

std::string CostsTable(const std::vector<Cost>& costs) {
  std::vector<std::string> operations;  // in the order of the first mode that has the most
  for (const char* mode : {"mprotect", "keys", "hidden", "none"}) {
    for (const Cost& cost : costs) {
      if (cost.mode == mode && std::find(operations.begin(), operations.end(), cost.operation) == operations.end())
        operations.push_back(cost.operation);
    }
  }
  std::string table = "| | keys | mprotect | hidden | none |\n|---|---|---|---|---|\n";
  for (const std::string& operation : operations) {
    table += "| " + operation;
    for (const char* mode : kModes) {
      const Cost* cost = Find(costs, operation, mode);
      table += " | ";
      table += cost == nullptr ? "–" : Text(cost->ns) + (cost->to_ns > 0 ? " to " + Text(cost->to_ns) : "");
    }
    table += " |\n";
  }
  return table;
}

std::string CostsMachines(const std::vector<Cost>& costs) {
  std::string text;
  for (const char* mode : kModes) {
    std::set<std::string> places;
    for (const Cost& cost : costs) {
      if (cost.mode == mode) places.insert(cost.machine + ", Linux " + cost.kernel + ", " + cost.date);
    }
    for (const std::string& place : places) text += "- `" + std::string(mode) + "`: " + place + "\n";
  }
  return text;
}

}  // namespace lightning::routes
