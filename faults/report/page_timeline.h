// The part of the campaign's page that shows each operation, instruction by instruction.
#pragma once

#include <string>

#include "faults/report/line_table.h"
#include "faults/report/step_record.h"

namespace lightning::faults {

// One row each: what a death at each instruction is healed to, and above it the instructions that changed the state.
std::string TimelineRow(const OperationRecord& operation, const LineTable& table);
std::string TimelineKey();

}  // namespace lightning::faults
