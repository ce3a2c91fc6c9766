// Runs a piece of checking that must end and must not die, and turns a hang, an assertion or a fault into an error
// text: a store that is broken on purpose does all of these.
#pragma once

#include <functional>
#include <string>

namespace lightning::faults {

// What `body` returned, or what ended it. After the latter the clients that it used must not be touched again, and what
// they held in this process is lost. One at a time.
std::string Guarded(unsigned seconds, const std::function<std::string()>& body);

// The seconds begin anew: for a body of many parts each of which must end.
void GuardedGoesOn(unsigned seconds);

}  // namespace lightning::faults
