// lightning-store: the command-line tool, and the reaper.
#include <signal.h>

#include <CLI/CLI.hpp>
#include <exception>
#include <new>

#include "store/cli/common.h"

int main(int argc, char** argv) {
  // A reader that leaves early shows as an error of write(): this program then detaches from the segment in order.
  signal(SIGPIPE, SIG_IGN);
  using lightning::Code;
  using lightning::Status;
  try {
    CLI::App app;
    lightning::cli::Program program;
    lightning::cli::Parse(argc, argv, app, program);
    return program.run();
  } catch (const lightning::cli::Exit& exit) {
    return exit.code;
  } catch (const std::bad_alloc&) {
    lightning::cli::PrintError(Status(Code::kSystem, "out of memory: free some, or give less at once"));
  } catch (const std::exception& error) {
    lightning::cli::PrintError(Status(Code::kSystem), error.what());
  }
  return lightning::cli::kExitFailure;
}
