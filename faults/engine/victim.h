// The process that is stepped: this program again, started as `lightning-faults victim`. It does what its plan says
// comes before, and then stops at a marker before and after each operation.
#pragma once

#include <functional>
#include <string>

#include "faults/plan/plan.h"
#include "lightning/options.h"

namespace lightning::faults {

// A plan in a file under /dev/shm for other processes, removed at the end. The name's length does not depend on the
// process: it stands on the victim's stack.
class PlanFile {
 public:
  PlanFile() = default;
  ~PlanFile();
  PlanFile(const PlanFile&) = delete;
  PlanFile& operator=(const PlanFile&) = delete;
  // An error text, or "".
  std::string Write(const Plan& plan);
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Never returns to the caller's program: ends the process with 0 when all operations were done, whatever they answered,
// else with 3 after a line on standard error. At each marker after an operation, rax holds its code.
// `planted`, for tests of the harness: a bug that is met just before each operation.
using PlantedBug = std::function<void(const PlanOperation& operation)>;
[[noreturn]] void RunVictim(const std::string& plan_file, const std::string& client, const std::string& path,
                            Isolation isolation, const PlantedBug& planted = nullptr);

}  // namespace lightning::faults
