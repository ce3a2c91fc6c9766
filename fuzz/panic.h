// The store ends its process when what it reads of the segment cannot be (LIGHTNING_ASSERT). That is an answer to a
// segment of arbitrary bytes, where the header allows it; anywhere else it is a finding. These programs have a Panic of
// their own, which leaves the operation in place of the process.
#pragma once

#include <functional>
#include <string>

namespace lightning::fuzz {

// Runs `body`, whose allocations are given back when the store panics in it: nothing that it made may be used then.
// The text of the panic, or "". They do not nest. kNothing: a body that comes to its end has given back what it
// allocated, or that is a finding. No leak detector sees it, since what is left is given back here.
enum class MayKeep : bool { kNothing, kSome };
std::string UntilPanic(const std::function<void()>& body, MayKeep may_keep = MayKeep::kNothing);

// From inside of `body`: leaves it as a panic does. For a client that is to die in the middle of an operation.
[[noreturn]] void LeaveBody(const char* why);

}  // namespace lightning::fuzz
