// docs/isolation.md, from the table.
#pragma once

#include <string>

namespace lightning::routes {

std::string Document();
// What the gate's operations cost here, in each mode that the machine has: a markdown table.
std::string MeasureCosts();

}  // namespace lightning::routes
