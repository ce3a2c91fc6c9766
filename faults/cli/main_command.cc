#include <cstdio>

#include "faults/cli/commands.h"

namespace lightning::faults {

int Main(int argc, char** argv) {
  CLI::App app(
      "lightning-faults tries to break the store: it kills clients at every instruction, kills processes at full "
      "speed, fires stray writes, and runs random operations against a model.");
  app.footer(
      "Example: lightning-faults campaign --seconds 60 --seed 7 --json campaign.json\n"
      "Exit status: 0 nothing was found, 1 a failure was found, 2 wrong usage, 3 unknown (check-history alone), 77 "
      "cannot run here.");
  app.require_subcommand(1);
  Command command;
  AddCampaign(app, &command);
  AddMutants(app, &command);
  AddStep(app, &command);
  AddKills(app, &command);
  AddStray(app, &command);
  AddAudit(app, &command);
  AddOps(app, &command);
  AddCoverage(app, &command);
  AddPlan(app, &command);
  AddRun(app, &command);
  AddReplay(app, &command);
  AddTarget(app, &command);
  AddKillAt(app, &command);
  AddCheckHistory(app, &command);
  AddMakeHistory(app, &command);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kWell : kUsage;
  }
  try {
    return command();
  } catch (const std::exception& error) {
    fprintf(stderr, "lightning-faults: %s\n", error.what());
    return kFound;
  }
}

}  // namespace lightning::faults
