// A process that runs somebody's store for the harness: reads one command a line, answers in lines, the last of which
// is `ok`, or `error TEXT`.
//
//   shared                  shared PATH...                create, attach, detach, recover     -
//   put KEY VALUE           -                             list                                item KEY VALUE...
//   remove KEY              -                             check                               violation TEXT...
//   name                    name TEXT
//
// A target that is no shared object is a program that speaks this itself, started with the directory as its argument:
// faults/target/stores/lightning_target.py is that for Python.
#pragma once

#include <string>

#include "faults/target/lightning_target.h"

namespace lightning::faults {

// Loads a target. An error text, or "".
std::string LoadTarget(const std::string& file, const lightning_target** target);

// Serves commands from descriptor 0 until it ends, answers on descriptor 1; the exit status. Each answer is one write,
// which the harness relies on when it steps the process: the operation lies between two of them.
int RunTargetHost(const lightning_target& target, const std::string& directory);

}  // namespace lightning::faults
