// What clients of somebody's store find after one of them was killed in the middle of an operation.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "faults/engine/target_process.h"

namespace lightning::faults {

// What a client dies in.
struct TargetOperation {
  enum Kind { kAttach, kPut, kRemove } kind = kPut;
  std::string key, value;  // the key of kAttach is one that the judge may change
  std::string Command() const;
  void ApplyTo(Pairs* pairs) const;
};

// What is wrong: its kind (hang, crash, error, content, invariant, undecided), and one sentence.
struct TargetVerdict {
  std::string kind, text;
};

// Starts another client, which is not attached; null when that cannot be done.
using NewClient = std::function<std::unique_ptr<TargetProcess>()>;

// Lets `healer`, a client that is attached, recover; then it, a client that comes later, and one that comes when all
// have left must see the content before or after the operation, find no violation, and be able to go on. Nothing when
// all is well.
std::optional<TargetVerdict> JudgeTarget(TargetProcess& healer, const Pairs& before, const TargetOperation& operation,
                                         const NewClient& new_client);

// The verdict on an answer that should have been well; `who` did what: "the survivor's put". Nothing when it is.
std::optional<TargetVerdict> Wrong(const std::string& who, const TargetAnswer& answer);

}  // namespace lightning::faults
