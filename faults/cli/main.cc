#include "faults/cli/commands.h"

int main(int argc, char** argv) { return lightning::faults::Main(argc, argv); }
