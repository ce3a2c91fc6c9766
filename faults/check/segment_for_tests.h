// A segment whose words tests look at, or write as they like.
#pragma once

#include "lightning/options.h"

namespace lightning::faults {

// Small, and with the same hashes every time.
inline Options SmallSegment() {
  Options options;
  options.size = 512 * 1024;
  options.max_objects = 16;
  options.max_clients = 4;
  options.max_pins = 16;
  options.event_slots = 4;
  options.hash_seed = 1;
  return options;
}

}  // namespace lightning::faults
