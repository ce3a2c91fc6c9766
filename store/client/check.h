// The invariants of a whole segment, looked at from outside. docs/segment-format.md lists them under the same numbers.
#pragma once

#include <functional>

#include "lightning/options.h"
#include "store/kernel/kernel.h"
#include "store/segment/segment.h"

namespace lightning {

// Tells whether the client in a slot lives. Null: nobody can tell, and all count as living.
using LivenessProbe = std::function<bool(SlotIndex)>;

// Lets others move for about so long between two looks. Null: looks again at once.
using LookPause = std::function<void(Nanoseconds)>;

// Changes nothing, and survives any bytes behind a sound superblock. On a segment in use it looks again until nothing
// moved while it looked, or gives up as `busy`. A client that died inside an operation is a violation: the segment
// needs recovery before it can be judged.
CheckReport CheckSegment(const Segment& segment, const LivenessProbe& alive = nullptr,
                         const LookPause& pause = nullptr);

// A probe over a kernel. A slot that changes hands while it is looked at counts as living.
bool MayBeAlive(const Segment& segment, SlotIndex slot, Kernel& kernel);

}  // namespace lightning
