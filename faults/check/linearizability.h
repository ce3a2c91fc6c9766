// Is a history of one key linearizable? Each operation must seem to happen at one instant between its call and its
// return, and the key must then have behaved like a register that puts, gets and deletes one after the other.
//
// The search is Wing and Gong's (JPDC 17, 1993) with Lowe's memory of configurations (CCPE 29, 2017), over a linked
// list of calls and returns and one key at a time, as Horn and Kroening (FORTE 2015) and Porcupine do it. What a
// register allows beyond that:
//
// - An operation is placed only where a return forces something (Lowe's just-in-time order); one that changes nothing
// as
//   soon as the value fits it.
// - A value is not left while somebody must still see it and nobody is left to write it again.
// - A write whose value nobody waits for goes right before the next unconditional write, without a choice.
// - An interrupted write counts only where it lets somebody else go on. Those that do the same are one thing with a
//   count. If no other operation writes its value, it must have happened before the first that saw it returned.
//
// None of these gives up an answer: Ok and Illegal are exact, also when values are written twice.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace lightning::faults {

// The value of a key that is not there. Other values are any numbers; equal numbers mean equal bytes.
inline constexpr uint64_t kAbsent = 0;
// The return of an operation whose client died inside it.
inline constexpr uint64_t kNever = ~uint64_t{0};

enum class RegisterKind : uint8_t { kGet, kContains, kPut, kReplace, kDelete };
enum class RegisterAnswer : uint8_t { kNone, kYes, kNo };

struct RegisterOperation {
  uint32_t client = 0;  // for reports alone
  RegisterKind kind = RegisterKind::kGet;
  // kContains: was it there. kReplace: did it replace. Both must say so when they returned.
  // kDelete: was it there; kNone when the store does not tell.
  RegisterAnswer answer = RegisterAnswer::kNone;
  // With a return before kNever: it took effect until then, or never will. Where a death is known to undo what was not
  // finished, the time at which the recovery was over.
  bool interrupted = false;
  uint64_t key = 0;
  uint64_t value = kAbsent;     // put, replace: written. get: seen.
  uint64_t expected = kAbsent;  // replace: written only if this was there; kAbsent: only if nothing was there
  uint64_t call = 0;            // any unit
  uint64_t ret = kNever;        // not before call; kNever: interrupted, it may take effect at any time after its call

  bool Returned() const { return ret != kNever && !interrupted; }
};

enum class Verdict : uint8_t { kOk, kIllegal, kUnknown };
std::string_view VerdictName(Verdict verdict);  // ok, illegal, unknown

// What a search may cost; zero: no limit. Past it the verdict is kUnknown, which is never a pass.
struct SearchBudget {
  uint64_t states = 0;
  double seconds = 0;
  uint64_t bytes = uint64_t{2} << 30;  // of remembered configurations
};

// A legal order of some of the operations that could not be made longer.
struct Explanation {
  std::vector<uint32_t> order;  // indices; interrupted ones that are not in it did not happen
  uint32_t stuck = 0;           // the operation that had to happen then, and could not
  uint64_t value = kAbsent;     // what was there
};

class RegisterSearch;

// One thread at a time. It keeps its memory from call to call: from the second call on, histories that are no larger
// allocate nothing. A history of ten operations takes about a microsecond.
class LinearizabilityChecker {
 public:
  LinearizabilityChecker();
  ~LinearizabilityChecker();

  // Operations of one key, in any order; `initial` is what was there before all of them. An operation that was called
  // at the very time at which another returned overlaps it: clocks are not finer than that.
  Verdict CheckRegister(std::span<const RegisterOperation> operations, const SearchBudget& budget = {},
                        uint64_t initial = kAbsent);
  // The same, and if the verdict is kIllegal, how far the best order came. Slower: for histories that were minimised.
  Verdict Explain(std::span<const RegisterOperation> operations, const SearchBudget& budget, uint64_t initial,
                  Explanation* explanation);
  // Configurations that the last call looked at.
  uint64_t states() const;

 private:
  std::unique_ptr<RegisterSearch> search_;
};

// --- Many keys. Linearizability is local: a history is linearizable if each key's is.

// Indices of the operations, those of one key side by side.
class KeyPartition {
 public:
  explicit KeyPartition(std::span<const RegisterOperation> operations);
  size_t size() const { return begin_.size() - 1; }
  // In the order of `operations`.
  std::span<const uint32_t> Key(size_t i) const {
    return std::span(order_).subspan(begin_[i], begin_[i + 1] - begin_[i]);
  }

 private:
  std::vector<uint32_t> order_;
  std::vector<size_t> begin_;  // one more than keys
};

struct HistoryVerdict {
  Verdict verdict = Verdict::kOk;
  size_t keys = 0;
  uint64_t states = 0;
  std::vector<uint32_t> failing;  // the operations of a key that is illegal, or else of one that is unknown
};

// The budget is that of all keys together. Every key begins absent. Stops at the first illegal key; goes on past one
// that ran out of states, since another may be illegal.
HistoryVerdict CheckHistory(std::span<const RegisterOperation> operations, const SearchBudget& budget = {});

}  // namespace lightning::faults
