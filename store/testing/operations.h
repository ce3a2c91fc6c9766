// Every operation that changes the store, on a small segment in plain memory and ready to be run store by store: what
// the tests of rules 1 to 4 and of the crash states go through.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "store/testing/testing.h"

namespace lightning::test {

// What an operation works on. The client that acts has slot 0; a listener, where there is one, slot 1.
struct Stage {
  explicit Stage(const Options& options) : memory(options), client(std::move(*memory.Attach(world))) {}

  World world;
  MemorySegment memory;
  std::optional<Subscription> subscription;
  Client client;
  std::optional<Client> listener;
  std::optional<Writer> writer;
  std::optional<Handle> handle;
};

struct Operation {
  std::string name;
  std::function<void(Stage&)> prepare;
  std::function<void(Stage&)> run;
};

// Colliding keys stand in one chain, so that it grows and shrinks.
Options StageOptions();
std::vector<Operation> AllOperations();
inline void PrintTo(const Operation& operation, std::ostream* out) { *out << operation.name; }

// For a test's name.
std::string OperationName(const Operation& operation);

}  // namespace lightning::test
