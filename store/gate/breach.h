// What happens where isolation is found broken: the process's handler and a typed status, or a message and the end.
#pragma once

#include "lightning/isolation.h"

namespace lightning {

// Calls the handler; without one, ends the process. `message` as for BreachHandler; null: the breach's own.
Status ReportBreach(Breach breach, const char* message = nullptr);

}  // namespace lightning
