// The audit of one gate, or of all: what the kernel says about this process's mappings against what the gates have
// made.
#pragma once

#include "lightning/isolation.h"
#include "store/gate/gate.h"

namespace lightning {

// What a client's attaching looks at: everything about `gate` that /proc/self/maps tells, which is all but keys and
// inheritance, both of which were set a moment ago; where other clients of the process have the same key, a whole
// audit. ReportBreach for the findings; kIsolationBroken when it returned.
Status AuditAtAttach(const Gate& gate);

}  // namespace lightning
