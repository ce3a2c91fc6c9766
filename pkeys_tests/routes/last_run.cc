#include "pkeys_tests/routes/last_run.h"

#include <fstream>
#include <nlohmann/json.hpp>

namespace lightning::routes {

size_t LastRun::rows() const {
  size_t rows = not_run.size();
  for (const Lane& lane : lanes) rows += lane.rows;
  return rows;
}

LastRun ReadLastRun() {
  std::ifstream file(LIGHTNING_SOURCE_DIR "/pkeys_tests/routes/last_run.json");
  const nlohmann::json json = nlohmann::json::parse(file);
  LastRun run;
  for (const auto& lane : json.at("lanes"))
    run.lanes.push_back({lane.at("mode"), lane.at("lane"), lane.at("machine"), lane.at("rows")});
  run.not_run = json.at("not_run").get<std::map<std::string, std::string>>();
  return run;
}

}  // namespace lightning::routes
