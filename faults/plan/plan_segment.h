// The segment that a plan asks for, as the store's options.
#pragma once

#include "faults/plan/plan.h"
#include "store/segment/geometry.h"

namespace lightning::faults {

// The smallest file of whole pages, of 256 KiB at least, that has room for the tables and for `segment.heap` bytes of
// heap. kInvalidArgument with the reason when there is none.
Result<Options> SegmentOptions(const PlanSegment& segment);

}  // namespace lightning::faults
