// What a person reads at the end.
#pragma once

#include <string>

#include "faults/engine/cross_check.h"
#include "faults/engine/parts.h"
#include "faults/plan/plan.h"
#include "faults/report/finding.h"
#include "lightning/isolation.h"

namespace lightning::faults {

// The plan in a file, or in standard input when that is `-`; kWell, or kUsage after a message "FILE:LINE:COLUMN: ...".
int ReadPlan(const std::string& file, Plan* plan);

// A message and the status of wrong usage.
int Usage(const std::string& message);

// The same for what went wrong, beside a finding: no skip.
int Failed(const std::string& what);

// The same for what this machine lacks.
int CannotRun(const std::string& fact);
inline constexpr char kNoKeys[] = "this machine has no protection keys";

// The mode of that name; kWell, or a status after a message: no such mode, or none that this machine has.
int FindIsolation(const std::string& mode, Isolation* isolation);

// One row of the table each.
void PrintStep(const StepPart& part);
void PrintSim(const SimPart& part);
void PrintCross(const CrossCheck& check);
void PrintOps(const OpsPart& part);
void PrintKills(const KillsPart& part);
void PrintStray(const StrayPart& part);
// A table of what it aimed at, and some of what landed.
void PrintStrayTargets(const StrayPart& part);

// The findings, each with the command that shows it again; the exit status.
int PrintFindings(const Findings& findings);
// What it printed last.
const Findings& LastFindings();

}  // namespace lightning::faults
