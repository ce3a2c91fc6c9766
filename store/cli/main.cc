// lightning-store: the command-line tool, and the reaper.
#include <signal.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <exception>
#include <new>

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

int Main(int argc, const char* const* argv) {
  CLI::App app(
      "Works on a Lightning segment: an in-memory object store that the processes of one user share.\n"
      "Exit codes: 0 well, 1 a failure or an absent key, 2 wrong usage, 77 this machine cannot run it.",
      "lightning-store");
  app.require_subcommand(1);
  app.footer(
      "Put -- before a key or value that starts with a dash. COMMAND --help shows an example of each command.\n"
      "Example: lightning-store create --size 1G && lightning-store put answer 42 && lightning-store get answer");
  Program program;
  program.app = &app;
  const char* segment = std::getenv("LIGHTNING_SEGMENT");
  program.common.segment = segment != nullptr && *segment != '\0' ? segment : "lightning";
  AddCommon(app, program.common);
  AddCommands(program);
  try {
    app.parse(Protect(argc, argv));
  } catch (const CLI::Success& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    FailUsage(std::string(error.what()) + "; lightning-store --help shows the commands");
  }
  return program.run();
}

}  // namespace
}  // namespace lightning::cli

int main(int argc, char** argv) {
  // A reader that leaves early shows as an error of write(): this program then detaches from the segment in order.
  signal(SIGPIPE, SIG_IGN);
  using lightning::Code;
  using lightning::Status;
  try {
    return lightning::cli::Main(argc, argv);
  } catch (const lightning::cli::Exit& exit) {
    return exit.code;
  } catch (const std::bad_alloc&) {
    lightning::cli::PrintError(Status(Code::kSystem, "out of memory: free some, or give less at once"));
  } catch (const std::exception& error) {
    lightning::cli::PrintError(Status(Code::kSystem), error.what());
  }
  return lightning::cli::kExitFailure;
}
