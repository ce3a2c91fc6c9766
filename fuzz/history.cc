// history: an even first byte, and the rest is the text of a history: it is read or refused at a place that exists,
// what was read comes back from its own text, and the judgement of each key is that of the checker by definition where
// the key is small enough. An odd first byte, and the rest are operations of one key, in binary, for the two checkers
// alone.
#include <algorithm>
#include <sstream>

#include "faults/check/every_order.h"
#include "faults/check/history_file.h"
#include "fuzz/support.h"

namespace lightning::fuzz {
namespace {

using namespace faults;

constexpr size_t kSmall = 7;  // operations that are ordered in every way
constexpr RecordForm kForm{.header = 2, .record = 5, .least = 2, .most = kSmall};
constexpr SearchBudget kBudget{.states = 200'000, .seconds = 0, .bytes = uint64_t{64} << 20};

std::string Show(const std::vector<RegisterOperation>& operations) {
  std::string text;
  for (const RegisterOperation& o : operations) {
    text += "\n" + std::string(KindName(o.kind)) + " answer " + std::to_string(static_cast<int>(o.answer)) + " value " +
            std::to_string(o.value) + " expected " + std::to_string(o.expected) +
            (o.interrupted ? " interrupted" : "") + " from " + std::to_string(o.call) + " to " + std::to_string(o.ret);
  }
  return text;
}

void JudgeOne(const std::vector<RegisterOperation>& operations, uint64_t initial) {
  static LinearizabilityChecker checker;  // one for all, so that what it keeps is tried too
  const Verdict verdict = checker.CheckRegister(operations, kBudget, initial);
  Explanation explanation;
  if (checker.Explain(operations, kBudget, initial, &explanation) != verdict && verdict != Verdict::kUnknown)
    Fail("with and without an explanation, two verdicts:" + Show(operations));
  if (operations.size() > kSmall) return;
  if (verdict != CheckByEveryOrder(operations, initial))
    Fail("the checker says " + std::string(VerdictName(verdict)) +
         ", and every order says otherwise:" + Show(operations));
}

void JudgeRecords(ByteStream& in) {
  const uint64_t initial = in.Byte() % 3;
  std::vector<RegisterOperation> operations;
  while (in.left() >= kForm.record && operations.size() < kSmall) {
    const uint8_t kind = in.Byte(), values = in.Byte(), call = in.Byte(), length = in.Byte(), fate = in.Byte();
    RegisterOperation o;
    o.kind = static_cast<RegisterKind>(kind % 5);
    const bool answers = o.kind == RegisterKind::kContains || o.kind == RegisterKind::kReplace;
    o.answer = static_cast<RegisterAnswer>(answers ? 1 + kind / 5 % 2 : kind / 5 % 3);
    if (o.kind == RegisterKind::kGet || o.kind == RegisterKind::kPut) o.answer = RegisterAnswer::kNone;
    const bool writes = o.kind == RegisterKind::kPut || o.kind == RegisterKind::kReplace;
    if (writes || o.kind == RegisterKind::kGet) o.value = writes ? 1 + values % 3U : values % 4U;
    if (o.kind == RegisterKind::kReplace) o.expected = values / 16 % 4U;
    o.call = call % 32;
    o.ret = o.call + length % 16;
    o.interrupted = fate % 4 == 0;
    if (fate % 8 == 0) o.ret = kNever;
    operations.push_back(o);
  }
  JudgeOne(operations, initial);
}

// Field by field; what is a number in one file may have another one in the other, by the order of the names.
bool Same(const HistoryFile& file, const RegisterOperation& a, const HistoryFile& other, const RegisterOperation& b) {
  const auto plain = [](const RegisterOperation& o) {
    return std::tuple(o.kind, o.answer, o.interrupted, o.call, o.ret);
  };
  return plain(a) == plain(b) && file.clients.Name(a.client) == other.clients.Name(b.client) &&
         file.keys.Name(a.key) == other.keys.Name(b.key) && file.values.Name(a.value) == other.values.Name(b.value) &&
         file.values.Name(a.expected) == other.values.Name(b.expected);
}

void JudgeText(std::string_view text) {
  std::istringstream in{std::string(text)};
  HistoryFile file;
  HistoryError error;
  if (!ReadHistory(in, &file, &error)) {
    const auto lines = static_cast<size_t>(1 + std::count(text.begin(), text.end(), '\n'));
    Require(!error.what.empty(), "a history was refused without a reason");
    Require(error.line <= lines && error.column <= text.size() + 2, "an error stands where nothing is");
    return;
  }
  std::string own;
  for (const RegisterOperation& operation : file.operations) own += WriteOperation(file, operation);
  std::istringstream again_in(own);
  HistoryFile again;
  if (!ReadHistory(again_in, &again, &error)) Fail("its own text is refused: " + error.what + "\n" + own);
  Require(file.operations.size() == again.operations.size(), "its own text has another number of operations");
  for (size_t i = 0; i < file.operations.size(); ++i) {
    if (!Same(file, file.operations[i], again, again.operations[i]))
      Fail("its own text is read as another history, from operation " + std::to_string(i) + " on:\n" + own);
  }
  std::string once_more;
  for (const RegisterOperation& operation : again.operations) once_more += WriteOperation(again, operation);
  if (own != once_more) Fail("one history, two texts:\n" + own + "\n" + once_more);
  const KeyPartition keys(file.operations);
  for (size_t i = 0; i < keys.size(); ++i) {
    std::vector<RegisterOperation> operations;
    for (const uint32_t index : keys.Key(i)) operations.push_back(file.operations[index]);
    JudgeOne(operations, kAbsent);
  }
}

}  // namespace
}  // namespace lightning::fuzz

LIGHTNING_FUZZ(history) {
  using namespace lightning::fuzz;
  ByteStream in(data, size);
  if (in.Byte() % 2 == 0) {
    JudgeText(in.Rest());
  } else {
    JudgeRecords(in);
  }
  return 0;
}

#ifndef LIGHTNING_FUZZ_REPLAY
extern "C" __attribute__((weak)) size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed);
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  using namespace lightning::fuzz;
  const bool text = size == 0 || data[0] % 2 == 0;
  if (text && LLVMFuzzerMutate != nullptr) return LLVMFuzzerMutate(data, size, max_size);
  return MutateRecords(kForm, data, size, max_size, seed);
}
#endif
