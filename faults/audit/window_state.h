// What an audit knows at one point of a function: whether the window is open, seen from the function's own beginning,
// and as much about registers and stack as it takes to recognise the gate's own conditions.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

#include "faults/audit/machine_code.h"

namespace lightning::faults {

enum class Rights : uint8_t {
  kAsEntered,  // nothing was changed
  kOpened,     // opened here
  kShut,       // opened here, and closed again
  kSuspended,  // closed here what a caller had opened
  kReopened,   // and opened again for it
};
inline bool IsOpen(Rights rights) { return rights == Rights::kOpened || rights == Rights::kReopened; }
Rights AfterOpening(Rights before);
Rights AfterClosing(Rights before);

struct Value {
  enum Kind : uint8_t {
    kUnknown,
    kConstant,   // number
    kShifted,    // number << something
    kKept,       // ~(number << something)
    kFrame,      // address: number bytes above the stack pointer at entry
    kByteThere,  // the byte at displacement `number` of some structure that is not in the frame
    kFrameByte,  // the byte in the frame at `number`
  };
  Kind kind = kUnknown;
  int64_t number = 0;
  bool operator==(const Value&) const = default;
};

class WindowState {
 public:
  WindowState();

  Rights rights = Rights::kAsEntered;
  uint64_t opened_at = 0;  // the last opening
  bool opened_by_call = false;
  // Bytes of a structure that decide, like Gate::mode_: displacement, and whether it held kKeys on this path.
  std::map<int64_t, bool> is_keys;
  // Seen on this path: the mode is not keys, so nothing opens or closes.
  bool KnowsOtherMode() const {
    return !is_keys.empty() && std::none_of(is_keys.begin(), is_keys.end(), [](const auto& its) { return its.second; });
  }
  // Bytes of the frame that were set to one since the window was opened, like Window::open_.
  std::set<int64_t> set_flags;

  // The last comparison: a value with a number, for equality.
  std::optional<std::pair<Value, int64_t>> compared;

  Value Register(int name) const { return registers_[static_cast<size_t>(name)]; }
  // What the operand is worth.
  Value Of(const cs_x86_op& operand) const;
  // All that an instruction does which is neither a jump nor the gate's.
  void Step(const Decoded& its);
  // A call: registers that the callee may change are unknown, but for the result where it is known.
  void Call(const Value& result);
  // The last comparison came out equal.
  void Equal();
  // At the landing pad of an exception.
  void Land();

  // What tells states apart that are not to be merged.
  auto Key() const { return std::tuple(rights, opened_by_call, is_keys); }
  // Makes this hold for both; whether it changed.
  bool Merge(const WindowState& other);

 private:
  std::optional<int64_t> FramePlace(const cs_x86_op& operand) const;
  void Store(const cs_x86_op& to, const Value& value);
  bool StepKnown(const Decoded& its);
  void Compare(const Decoded& its);
  void Arithmetic(const Decoded& its);
  void Set(const cs_x86_op& to, const Value& value);

  int compared_register_ = -1;
  std::array<Value, 16> registers_;
  std::map<int64_t, Value> frame_;  // words of 4 or 8 bytes
};

}  // namespace lightning::faults
