// The arguments of lightning-store, down to the chosen command.
#include <CLI/CLI.hpp>
#include <cstdlib>

#include "store/cli/common.h"

namespace lightning::cli {
namespace {

void AddCommands(Program& program) {
  AddCreate(program);
  AddPut(program);
  AddGet(program);
  AddDelete(program);
  AddList(program);
  AddStat(program);
  AddCheck(program);
  AddRecover(program);
  AddReap(program);
  AddTop(program);
  AddDump(program);
  AddWatch(program);
}

}  // namespace

void Parse(int argc, const char* const* argv, CLI::App& app, Program& program) {
  app.name("lightning-store");
  app.description(
      "Works on a Lightning segment: an in-memory object store that the processes of one user share.\n"
      "Exit codes: 0 well, 1 a failure or an absent key, 2 wrong usage, 77 this machine cannot run it.");
  app.require_subcommand(1);
  app.footer(
      "Put -- before a key or value that starts with a dash. COMMAND --help shows an example of each command.\n"
      "Example: lightning-store create --size 1G && lightning-store put answer 42 && lightning-store get answer");
  program.app = &app;
  const char* segment = std::getenv("LIGHTNING_SEGMENT");
  program.common.segment = segment != nullptr && *segment != '\0' ? segment : "lightning";
  AddCommon(app, program.common);
  AddCommands(program);
  try {
    app.parse(Protect(argc, argv));
  } catch (const CLI::Success& help) {
    throw Exit{app.exit(help)};
  } catch (const CLI::ParseError& error) {
    FailUsage(std::string(error.what()) + "; lightning-store --help shows the commands");
  }
}

}  // namespace lightning::cli
