// Everything of the C++ API.
#pragma once

#include "lightning/client.h"     // IWYU pragma: export
#include "lightning/isolation.h"  // IWYU pragma: export
#include "lightning/options.h"    // IWYU pragma: export
#include "lightning/status.h"     // IWYU pragma: export
