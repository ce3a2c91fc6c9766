#include "faults/audit/window_paths.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <string_view>

namespace lightning::faults {
namespace {

constexpr int64_t kKeysMode = 1;    // Isolation::kKeys, as Gate::mode_ holds it
constexpr size_t kMostStates = 64;  // at one address, before they are taken together
constexpr int kStraight = 60;       // instructions from one of the gate's conditions to its sequence
constexpr int kConditions = 5;      // one behind the other: open_, mode_, depth
constexpr int kDeepCalls = 5;
constexpr size_t kLongestTable = 1024;

bool IsOneOf(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// Without the compiler's mark of a piece or copy: "foo [clone .part.0]".
std::string_view Plain(std::string_view name) { return name.substr(0, name.find(" [clone")); }

// Those that leave the function, so that its own code never runs again.
bool Unwinds(std::string_view name) {
  return IsOneOf(name, {"_Unwind_Resume", "__cxa_throw", "__cxa_rethrow", "__cxa_bad_cast", "__cxa_bad_typeid",
                        "__cxa_throw_bad_array_new_length"}) ||
         name.starts_with("std::__throw_");
}
bool JumpsFar(std::string_view name) {
  return IsOneOf(name, {"longjmp", "_longjmp", "siglongjmp", "__longjmp_chk", "pthread_exit", "setcontext"});
}
// What a compiler puts before the use of a thread-local variable of another file; it runs no code of ours.
bool PreparesThread(std::string_view name) { return name.starts_with("TLS init function for "); }
// Destructors, and what C and C++ promise.
bool NeverThrows(std::string_view name) {
  return name.find("::~") != std::string_view::npos || name.starts_with("operator delete") ||
         name.starts_with("TLS init function for ") ||
         IsOneOf(name,
                 {"memcpy", "memmove", "memset", "memcmp", "free", "strlen", "__cxa_begin_catch", "__cxa_end_catch"});
}
bool EndsProcess(std::string_view name) {
  return IsOneOf(name, {"abort", "_exit", "_Exit", "exit", "quick_exit", "__assert_fail", "__stack_chk_fail",
                        "std::terminate()", "__clang_call_terminate", "__chk_fail", "__fortify_fail"}) ||
         name.starts_with("lightning::Gate::Fail(") || name.starts_with("lightning::Panic(");
}

}  // namespace

WindowPaths::Effect WindowPaths::EffectOf(const std::string& name) {
  const std::string_view plain = Plain(name);
  if (IsOneOf(plain, {"lightning::pkru::Open(int)", "lightning::Gate::Open()", "lightning::Window::Resume()",
                      "lightning::Window::Window(lightning::Gate&)"}))
    return Effect::kOpens;
  if (IsOneOf(plain, {"lightning::pkru::Close(int)", "lightning::Gate::Close()", "lightning::Window::Suspend()",
                      "lightning::Window::~Window()"}))
    return Effect::kCloses;
  return Effect::kNone;
}

std::vector<PathFinding> WindowPaths::Follow(const Function& function) {
  function_ = &function;
  own_effect_ = EffectOf(function.name);
  waiting_.clear();
  seen_.clear();
  findings_.clear();
  // A cold part is followed from the function that jumps there.
  if (!function.part) Push(function.begin, WindowState());
  while (!waiting_.empty()) {
    Visit visit = std::move(waiting_.back());
    waiting_.pop_back();
    Run(visit.address, std::move(visit.state));
  }
  std::vector<PathFinding> result;
  for (const auto& [address, reason] : findings_) result.push_back({address, reason});
  return result;
}

void WindowPaths::Say(uint64_t address, const std::string& reason) { findings_.try_emplace(address, reason); }

void WindowPaths::Push(uint64_t address, WindowState state) {
  std::vector<WindowState>& here = seen_[address];
  for (WindowState& known : here) {
    if (known.Key() != state.Key() && here.size() < kMostStates) continue;
    if (known.Key() != state.Key()) break;
    if (!known.Merge(state)) return;
    waiting_.push_back({address, known});
    return;
  }
  if (here.size() >= kMostStates) {
    Say(function_->begin, "too many states to follow");
    return;
  }
  here.push_back(state);
  waiting_.push_back({address, std::move(state)});
}

void WindowPaths::Run(uint64_t address, WindowState state) {
  while (true) {
    if (const auto sequence = SequenceAt(code_, address)) {
      if (!Sequence(*sequence, &state)) return;
      address = sequence->end;
      continue;
    }
    const Decoded& its = code_.At(address);
    uint64_t next = its.next();
    if (!One(its, &next, &state)) return;
    address = next;
  }
}

bool WindowPaths::One(const Decoded& its, uint64_t* next, WindowState* state) {
  if (!its.known) {
    if (IsOpen(state->rights)) Say(its.address, "cannot be decoded, and the window is open there");
    return false;
  }
  if (its.special == Decoded::kWrpkru) {
    reached_.insert(its.address);  // what is wrong with it is said elsewhere
    return true;
  }
  switch (its.flow) {
    case Flow::kOn:
      state->Step(its);
      return true;
    case Flow::kEnd:
      return false;
    case Flow::kReturn:
      Leave(its, *state, "returns");
      return false;
    case Flow::kCall:
      return Call(its, state);
    case Flow::kJump:
      return Jump(its, state);
    case Flow::kBranch:
      return Branch(its, next, state);
  }
  return false;
}

bool WindowPaths::Sequence(const GateSequence& sequence, WindowState* state) {
  reached_.insert(sequence.write);
  const Value mask = state->Register(sequence.mask);
  const Value wanted{sequence.opens ? Value::kKept : Value::kShifted, 3};
  if (mask != wanted)
    Say(sequence.write,
        sequence.opens ? "its mask is not seen to be ~(3 << 2 * key)" : "its mask is not seen to be 3 << 2 * key");
  if (sequence.opens) {
    if (IsOpen(state->rights)) Say(sequence.write, "opens a window where one is open");
    state->rights = AfterOpening(state->rights);
    state->opened_at = sequence.write;
    state->opened_by_call = false;
    state->set_flags.clear();
  } else {
    state->rights = AfterClosing(state->rights);
  }
  for (const int name : {0, 1, 2}) {
    Decoded writes;
    writes.written = static_cast<uint16_t>(1u << name);
    state->Step(writes);
  }
  // And where an opening keeps the rights from before.
  const Decoded& moves = code_.At(code_.At(code_.At(sequence.begin).next()).next());
  if (sequence.opens) state->Step(moves);
  return true;
}

std::string WindowPaths::Callee(const Decoded& its) const {
  if (its.target) return code_.elf().CalleeAt(*its.target);
  return its.pointer ? code_.elf().CalleeThrough(*its.pointer) : "";
}

bool WindowPaths::Call(const Decoded& its, WindowState* state) {
  const std::string name = Callee(its);
  if (EndsProcess(Plain(name))) {
    Throw(its, *state, Thrown::kNever);
    return false;
  }
  if (JumpsFar(Plain(name))) {
    Leave(its, *state, fmt::format("jumps away ({})", name));
    return false;
  }
  const bool never_returns = Unwinds(Plain(name)) || (its.target && NeverReturns(*its.target));
  switch (EffectOf(name)) {
    case Effect::kOpens:
      if (state->KnowsOtherMode()) break;
      if (IsOpen(state->rights)) Say(its.address, "opens a window where one is open");
      state->rights = AfterOpening(state->rights);
      state->opened_at = its.address;
      state->opened_by_call = true;  // which also sets the flag, wherever that stands
      break;
    case Effect::kCloses:
      state->rights = AfterClosing(state->rights);
      break;
    case Effect::kNone:
      Throw(its, *state,
            Unwinds(Plain(name))       ? Thrown::kAlways
            : NeverThrows(Plain(name)) ? Thrown::kNever
                                       : Thrown::kPerhaps);
      break;
  }
  if (never_returns) return false;
  state->Call(Plain(name) == "lightning::pkru::Mask(int)" ? Value{Value::kShifted, 3} : Value());
  // After a call that does not come back the compiler puts nothing, or another function.
  return IsInside(its.next());
}

// Where the exception of a callee goes on. One that never throws may still have a landing pad, where the compiler could
// not know; what stands there is followed too.
void WindowPaths::Throw(const Decoded& its, const WindowState& state, Thrown thrown) {
  const Function* part = code_.elf().FunctionAt(its.address);
  const std::vector<CallSite>* sites = part == nullptr ? nullptr : code_.elf().CallSites(part->begin);
  if (sites == nullptr) {
    if (thrown == Thrown::kAlways) Leave(its, state, "throws");
    return;
  }
  for (const CallSite& site : *sites) {
    if (its.address < site.begin || its.address >= site.end) continue;
    if (site.landing_pad == 0) {
      if (thrown != Thrown::kNever) Leave(its, state, "lets an exception through");
      return;
    }
    WindowState landed = state;
    landed.Land();
    // Only for what stands there: nobody comes here with a window open.
    if (thrown == Thrown::kNever && IsOpen(landed.rights)) landed.rights = AfterClosing(landed.rights);
    return Push(site.landing_pad, std::move(landed));
  }
  // Not in the table: an exception would end the process here.
}

void WindowPaths::Leave(const Decoded& its, const WindowState& state, const std::string& how) {
  if (state.rights != Rights::kOpened || own_effect_ == Effect::kOpens) return;
  Say(state.opened_at, fmt::format("a path {} at {:#x} with the window open that begins here", how, its.address));
}

bool WindowPaths::IsInside(uint64_t address) const {
  if (address >= function_->begin && address < function_->end) return true;
  // A cold part, or the middle of some piece: not the beginning of another function.
  const Function* there = code_.elf().FunctionAt(address);
  return there != nullptr && (there->part || there->begin != address);
}

bool WindowPaths::Jump(const Decoded& its, WindowState* state) {
  if (its.target && IsInside(*its.target)) {
    targets_.insert(*its.target);
    Push(*its.target, *state);
    return false;
  }
  if (!its.target && !its.pointer) {
    const std::vector<uint64_t> targets = TableTargets(*state);
    for (const uint64_t target : targets) Push(target, *state);
    if (!targets.empty()) return false;
  }
  // A call in the place of the return.
  const bool comes_back = !NeverComesBack(its);
  Call(its, state);
  if (comes_back) Leave(its, *state, "ends in another function");
  return false;
}

bool WindowPaths::NeverComesBack(const Decoded& its) {
  const std::string name = Callee(its);
  return EndsProcess(Plain(name)) || Unwinds(Plain(name)) || JumpsFar(Plain(name)) ||
         (its.target && NeverReturns(*its.target));
}

// Signed 32-bit distances from the table itself, which some register points to.
std::vector<uint64_t> WindowPaths::TableTargets(const WindowState& state) const {
  std::vector<uint64_t> targets;
  for (int name = 0; name < 16; ++name) {
    const Value table = state.Register(name);
    if (table.kind != Value::kConstant || table.number < 4096) continue;
    const auto base = static_cast<uint64_t>(table.number);
    const std::string_view bytes = code_.elf().Bytes(base, 4 * kLongestTable);
    for (size_t i = 0; i + 4 <= bytes.size(); i += 4) {
      int32_t distance;
      memcpy(&distance, bytes.data() + i, 4);
      const uint64_t target = base + static_cast<uint64_t>(int64_t{distance});
      if (target < function_->begin || target >= function_->end) break;
      targets.push_back(target);
    }
    if (!targets.empty()) break;
  }
  return targets;
}

bool WindowPaths::LeadsTo(uint64_t address, bool opening, int depth) {
  for (int i = 0; i < kStraight; ++i) {
    if (const auto sequence = SequenceAt(code_, address)) return sequence->opens == opening;
    const Decoded& its = code_.At(address);
    if (!its.known || its.special != Decoded::kNone) return false;
    switch (its.flow) {
      case Flow::kOn:
        address = its.next();
        break;
      case Flow::kJump:
        if (!its.target || !IsInside(*its.target)) return false;
        address = *its.target;
        break;
      case Flow::kBranch:
        if (depth >= kConditions || !its.target) return false;
        return LeadsTo(its.next(), opening, depth + 1) || LeadsTo(*its.target, opening, depth + 1);
      case Flow::kCall: {
        const std::string name = Callee(its);
        if (!PreparesThread(name)) return EffectOf(name) == (opening ? Effect::kOpens : Effect::kCloses);
        address = its.next();
        break;
      }
      default:
        return false;
    }
  }
  return false;
}

// Both ways, but where the condition is one of the gate's own: what it tells is remembered, and a window that is open
// was opened in mode keys.
bool WindowPaths::Branch(const Decoded& its, uint64_t* next, WindowState* state) {
  if (!its.target) return true;
  const bool equality = its.id == X86_INS_JE || its.id == X86_INS_JNE;
  const uint64_t equal = its.id == X86_INS_JNE ? *next : *its.target;
  const uint64_t other = its.id == X86_INS_JNE ? *its.target : *next;
  targets_.insert(*its.target);
  if (equality && state->compared) {
    const auto [left, right] = *state->compared;
    const bool to_closing = (left.kind == Value::kByteThere || left.kind == Value::kFrameByte) &&
                            LeadsTo(right == 0 ? other : equal, /*opening=*/false);
    if (left.kind == Value::kByteThere && right == kKeysMode && (to_closing || LeadsTo(equal, /*opening=*/true))) {
      const auto known = state->is_keys.find(left.number);
      const bool decided = known != state->is_keys.end();
      const bool by_call = !decided && to_closing && IsOpen(state->rights) && state->opened_by_call;
      WindowState keys = *state, others = *state;
      keys.is_keys[left.number] = true;
      others.is_keys[left.number] = false;
      if (decided ? known->second : true) Push(equal, std::move(keys));
      if (decided ? !known->second : !by_call) Push(other, std::move(others));
      return false;
    }
    // Another mode's constant.
    const auto known = state->is_keys.find(left.number);
    const bool decided = known != state->is_keys.end();
    if (left.kind == Value::kByteThere && right != kKeysMode && right != 0 &&
        (decided || LeadsTo(other, /*opening=*/false) || LeadsTo(other, /*opening=*/true))) {
      WindowState third = *state;
      third.is_keys[left.number] = false;
      Push(other, *state);
      if (!decided || !known->second) Push(equal, std::move(third));
      return false;
    }
    // Window::open_: set since the window was opened, and cleared by Suspend alone.
    if (left.kind == Value::kFrameByte && right == 0 && to_closing && IsOpen(state->rights) &&
        (state->opened_by_call || state->set_flags.contains(left.number))) {
      Push(other, *state);
      return false;
    }
  }
  WindowState there = *state;
  if (equality) there.Equal();
  Push(equal, std::move(there));
  Push(other, *state);
  return false;
}

bool WindowPaths::NeverReturns(uint64_t function, int depth) {
  const auto known = never_returns_.find(function);
  if (known != never_returns_.end()) return known->second;
  const std::string name = code_.elf().CalleeAt(function);
  if (EndsProcess(Plain(name)) || Unwinds(Plain(name)) || JumpsFar(Plain(name))) return never_returns_[function] = true;
  const Function* its = code_.elf().FunctionAt(function);
  if (its == nullptr || its->begin != function || depth > kDeepCalls) return false;
  never_returns_[function] = false;  // for a recursion
  std::vector<uint64_t> waiting{function};
  std::set<uint64_t> seen;
  bool returns = false;
  while (!waiting.empty() && !returns) {
    uint64_t at = waiting.back();
    waiting.pop_back();
    while (seen.insert(at).second) {
      const Decoded& one = code_.At(at);
      const bool inside = one.target && *one.target >= its->begin && *one.target < its->end;
      if (!one.known || one.flow == Flow::kReturn || at >= its->end) returns = one.flow != Flow::kEnd;
      if (one.flow == Flow::kEnd || returns) break;
      if (one.flow == Flow::kJump && !inside) {
        returns = !one.target || !NeverReturns(*one.target, depth + 1);
        break;
      }
      if (one.flow == Flow::kBranch && inside) waiting.push_back(*one.target);
      if (one.flow == Flow::kBranch && !inside) returns = !one.target || !NeverReturns(*one.target, depth + 1);
      const std::string callee = one.flow == Flow::kCall ? Callee(one) : "";
      if (EndsProcess(Plain(callee)) || Unwinds(Plain(callee)) || JumpsFar(Plain(callee))) break;
      if (one.flow == Flow::kCall && one.target && NeverReturns(*one.target, depth + 1)) break;
      at = one.flow == Flow::kJump ? *one.target : one.next();
    }
  }
  return never_returns_[function] = !returns;
}

}  // namespace lightning::faults
