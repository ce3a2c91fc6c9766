// The process that is stepped: this program again, started as `lightning-faults victim`. It prepares what the plan
// says, stops at a marker, does the one operation, and stops at a second marker.
#pragma once

#include <string>

#include "faults/check/image_checker.h"
#include "faults/plan/step_plan.h"
#include "lightning/client.h"

namespace lightning::faults {

// Handles, writers and subscriptions that a setup leaves behind.
struct Held {
  std::vector<Handle> handles;
  std::vector<Writer> writers;
  std::vector<Subscription> subscriptions;
};

// An error text, or "".
std::string DoSetup(Client& client, std::span<const SetupStep> steps, Held* held);
// What `steps`, done by DoSetup, left pinned in `held`.
std::vector<PinnedObject> PinnedObjects(std::span<const SetupStep> steps, const Held& held);

// Never returns to the caller's program: ends the process with 0 when the operation went well, else 3. `error_fd` gets
// the reason.
[[noreturn]] void RunVictim(const std::string& name, uint64_t seed, const std::string& path, Isolation isolation);

}  // namespace lightning::faults
