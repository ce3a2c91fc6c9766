// docs/isolation.md, from the table.
#pragma once

#include <string>

namespace lightning::routes {

std::string Document();

}  // namespace lightning::routes
