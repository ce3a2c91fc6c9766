// What is for the rest of a process, and so is tried in a child: hardening, and damage to the store's own mappings.
#pragma once

#include <cstdint>
#include <string>

#include "lightning/c.h"

namespace lightning::fuzz {

// Forks a child, which attaches to the segment `name`, and then hardens itself and works on, or damages a mapping of
// the store, which its audit must find. Ends with nobody more attached than before. `what` says which, `which` the
// mapping.
void TryInAChild(const std::string& name, const lightning_options& options, uint8_t what, uint8_t which);

}  // namespace lightning::fuzz
