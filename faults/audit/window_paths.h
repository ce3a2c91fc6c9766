// Follows every path through a function from its beginning, and says where one leaves it with a window open that the
// function itself opened. docs/binary-audit.md has the rule and what it takes for granted; the idea of checking rights
// along the paths of finished machine code is objtool's (Linux, tools/objtool: its rule for STAC and CLAC).
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "faults/audit/machine_code.h"
#include "faults/audit/window_state.h"

namespace lightning::faults {

struct PathFinding {
  uint64_t address = 0;  // of the opening, or of the instruction that is wrong by itself
  std::string reason;
};

class WindowPaths {
 public:
  explicit WindowPaths(MachineCode& code) : code_(code) {}

  // Of one function; each finding once.
  std::vector<PathFinding> Follow(const Function& function);
  // WRPKRU instructions that some path reached.
  const std::set<uint64_t>& reached() const { return reached_; }

  // Where jumps and branches lead that some path came to.
  const std::set<uint64_t>& targets() const { return targets_; }

  // What a call of a function of this name does to the window: the gate's own functions, where they were not inlined.
  enum class Effect : uint8_t { kNone, kOpens, kCloses };
  static Effect EffectOf(const std::string& name);

 private:
  struct Visit {
    uint64_t address;
    WindowState state;
  };

  void Run(uint64_t address, WindowState state);
  // One instruction; false when the path ends here.
  bool One(const Decoded& its, uint64_t* next, WindowState* state);
  bool Sequence(const GateSequence& sequence, WindowState* state);
  bool Call(const Decoded& its, WindowState* state);
  bool Jump(const Decoded& its, WindowState* state);
  bool Branch(const Decoded& its, uint64_t* next, WindowState* state);
  enum class Thrown : uint8_t { kNever, kPerhaps, kAlways };
  void Throw(const Decoded& its, const WindowState& state, Thrown thrown);
  void Leave(const Decoded& its, const WindowState& state, const std::string& how);
  void Push(uint64_t address, WindowState state);
  void Say(uint64_t address, const std::string& reason);

  std::string Callee(const Decoded& its) const;
  // Whether an address belongs to the function that is being followed.
  bool IsInside(uint64_t address) const;
  // Whether the code there comes to such a sequence with no call and no other way to end than the gate's conditions.
  bool LeadsTo(uint64_t address, bool opening, int depth = 0);
  bool NeverReturns(uint64_t function, int depth = 0);
  // By name or by code.
  bool NeverComesBack(const Decoded& its);
  std::vector<uint64_t> TableTargets(const WindowState& state) const;

  MachineCode& code_;
  const Function* function_ = nullptr;
  Effect own_effect_ = Effect::kNone;
  std::vector<Visit> waiting_;
  std::map<uint64_t, std::vector<WindowState>> seen_;
  std::map<uint64_t, std::string> findings_;
  std::map<uint64_t, bool> never_returns_;
  std::set<uint64_t> reached_, targets_;
};

}  // namespace lightning::faults
