#include "faults/check/linear_history.h"

#include <fmt/format.h>

#include <unordered_map>

namespace lightning::faults {
namespace {

// Who wrote which version.
std::unordered_map<uint64_t, WriteId> WritesByVersion(const KeyHistory& history) {
  std::unordered_map<uint64_t, WriteId> writes;
  if (history.first != 0) writes[history.first_version] = history.first;
  for (const KeyEvent& event : history.events) {
    const bool holds = (event.did == Did::kWrite && event.completed) || event.did == Did::kSaw;
    if (holds && event.version != 0) writes[event.version] = event.write;
  }
  return writes;
}

std::string Show(const RegisterOperation& operation) {
  const char* const what = operation.kind == RegisterKind::kGet       ? "a look"
                           : operation.kind == RegisterKind::kDelete  ? "a delete"
                           : operation.kind == RegisterKind::kReplace ? "a conditional write"
                                                                      : "a write";
  const std::string value =
      operation.value == kAbsent
          ? "nothing"
          : fmt::format("write {} of writer {}", operation.value & 0xFFFF'FFFF'FFFF, operation.value >> 48);
  return fmt::format("{} ({}) of writer {}", what, value, operation.client);
}

std::string Explain(LinearizabilityChecker& checker, uint32_t key, const KeyHistory& history,
                    const std::vector<RegisterOperation>& operations, const SearchBudget& budget) {
  Explanation explanation;
  std::string where;
  if (checker.Explain(operations, budget, history.first, &explanation) == Verdict::kIllegal)
    where = fmt::format(": after {} operations {} cannot have happened in time", explanation.order.size(),
                        Show(operations[explanation.stuck]));
  return fmt::format("key {}: its {} operations are not linearizable{}", key, operations.size(), where);
}

}  // namespace

std::vector<RegisterOperation> ToRegister(uint32_t key, const KeyHistory& history) {
  const std::unordered_map<uint64_t, WriteId> writes = WritesByVersion(history);
  std::vector<RegisterOperation> operations;
  operations.reserve(history.events.size());
  for (const KeyEvent& event : history.events) {
    if (event.did == Did::kNothing) continue;
    RegisterOperation operation;
    operation.client = event.writer;
    operation.key = key;
    operation.call = event.begin;
    operation.ret = event.end;
    operation.interrupted = !event.completed;
    switch (event.did) {
      case Did::kNothing:
        break;
      case Did::kSaw:
      case Did::kSawNothing:
        operation.kind = RegisterKind::kGet;
        operation.value = event.did == Did::kSaw ? event.write : kAbsent;
        break;
      case Did::kDelete:
        operation.kind = RegisterKind::kDelete;
        operation.answer = event.completed ? RegisterAnswer::kYes : RegisterAnswer::kNone;
        break;
      case Did::kWrite: {
        operation.value = event.write;
        const auto replaced = writes.find(event.expected);
        operation.kind = RegisterKind::kPut;
        if (event.expected == 0 || replaced == writes.end()) break;
        operation.kind = RegisterKind::kReplace;
        operation.expected = replaced->second;
        operation.answer = event.completed ? RegisterAnswer::kYes : RegisterAnswer::kNone;
        break;
      }
    }
    operations.push_back(operation);
  }
  return operations;
}

LinearJudge JudgeLinearizable(const History& history, const SearchBudget& budget) {
  LinearJudge judge;
  LinearizabilityChecker checker;
  for (const auto& [key, its] : history) {
    const std::vector<RegisterOperation> operations = ToRegister(key, its);
    judge.operations += operations.size();
    const Verdict verdict = checker.CheckRegister(operations, budget, its.first);
    judge.states += checker.states();
    if (verdict == Verdict::kOk) continue;
    judge.error = verdict == Verdict::kIllegal
                      ? Explain(checker, key, its, operations, budget)
                      : fmt::format(
                            "key {}: whether its {} operations are linearizable could not be decided in {} "
                            "states",
                            key, operations.size(), checker.states());
    return judge;
  }
  return judge;
}

}  // namespace lightning::faults
