#include "faults/audit/window_state.h"

#include <algorithm>
#include <tuple>

namespace lightning::faults {
namespace {

constexpr int kRax = 0, kRsp = 4;
constexpr uint16_t kCallerSaved = 0x0FC7;              // rax rcx rdx rsi rdi r8..r11
constexpr int64_t kBelowAlignment = int64_t{1} << 20;  // a frame that was aligned at run time is a region of its own

Value Constant(int64_t number) { return {Value::kConstant, number}; }

}  // namespace

Rights AfterOpening(Rights before) {
  return before == Rights::kSuspended || before == Rights::kReopened ? Rights::kReopened : Rights::kOpened;
}

Rights AfterClosing(Rights before) {
  return before == Rights::kOpened || before == Rights::kShut ? Rights::kShut : Rights::kSuspended;
}

WindowState::WindowState() { registers_[kRsp] = {Value::kFrame, 0}; }

std::optional<int64_t> WindowState::FramePlace(const cs_x86_op& operand) const {
  if (operand.type != X86_OP_MEM || operand.mem.index != X86_REG_INVALID) return std::nullopt;
  const int base = GeneralRegister(operand.mem.base);
  if (base < 0 || Register(base).kind != Value::kFrame) return std::nullopt;
  return Register(base).number + operand.mem.disp;
}

Value WindowState::Of(const cs_x86_op& operand) const {
  switch (operand.type) {
    case X86_OP_IMM:
      return Constant(operand.imm);
    case X86_OP_REG: {
      const int name = GeneralRegister(operand.reg);
      return name < 0 ? Value() : Register(name);
    }
    case X86_OP_MEM: {
      if (const auto place = FramePlace(operand)) {
        if (operand.size == 1) return {Value::kFrameByte, *place};
        const auto at = frame_.find(*place);
        return at == frame_.end() ? Value() : at->second;
      }
      const bool plain = operand.mem.index == X86_REG_INVALID && operand.mem.segment == X86_REG_INVALID;
      if (operand.size == 1 && plain && operand.mem.base != X86_REG_RIP && operand.mem.base != X86_REG_INVALID)
        return {Value::kByteThere, operand.mem.disp};
      return {};
    }
    default:
      return {};
  }
}

void WindowState::Store(const cs_x86_op& to, const Value& value) {
  const auto place = FramePlace(to);
  if (!place) return;  // other memory is not followed
  for (auto at = frame_.lower_bound(*place - 7); at != frame_.end() && at->first < *place + to.size;)
    at = frame_.erase(at);
  for (int64_t i = 0; i < to.size; ++i) {
    set_flags.erase(*place + i);
    if (value.kind == Value::kConstant && i < 8 && (value.number >> (8 * i) & 0xFF) == 1 && IsOpen(rights))
      set_flags.insert(*place + i);
  }
  if (to.size >= 4 && value.kind != Value::kUnknown) frame_[*place] = value;
}

void WindowState::Set(const cs_x86_op& to, const Value& value) {
  if (to.type == X86_OP_MEM) return Store(to, value);
  const int name = GeneralRegister(to.reg);
  if (name >= 0) registers_[static_cast<size_t>(name)] = value;
  if (name == compared_register_) compared_register_ = -1;
}

void WindowState::Compare(const Decoded& its) {
  compared.reset();
  compared_register_ = -1;
  const Value left = Of(its.operands[0]);
  const Value right = Of(its.operands[1]);
  if (its.id == X86_INS_CMP && right.kind == Value::kConstant) compared = {left, right.number};
  if (compared && its.operands[0].type == X86_OP_REG && its.operands[0].size >= 4)
    compared_register_ = GeneralRegister(its.operands[0].reg);
  if (its.id != X86_INS_TEST) return;
  // A register with itself: with zero. A byte with its lowest bit, as for a bool: with zero too.
  if (its.operands[0].type == X86_OP_REG && its.operands[1].type == X86_OP_REG &&
      its.operands[0].reg == its.operands[1].reg)
    compared = {left, 0};
  if (right == Constant(1) && (left.kind == Value::kFrameByte || left.kind == Value::kByteThere)) compared = {left, 0};
}

// Sums that move in the frame, and what makes the gate's masks.
void WindowState::Arithmetic(const Decoded& its) {
  const cs_x86_op& to = its.operands[0];
  const Value left = Of(to), right = Of(its.operands[1]);
  Value result;
  switch (its.id) {
    case X86_INS_ADD:
    case X86_INS_SUB:
      if (left.kind == Value::kFrame && right.kind == Value::kConstant)
        result = {Value::kFrame, its.id == X86_INS_ADD ? left.number + right.number : left.number - right.number};
      break;
    case X86_INS_AND:
      if (left.kind == Value::kFrame && right.kind == Value::kConstant && right.number < 0)
        result = {Value::kFrame, left.number - kBelowAlignment};
      break;
    case X86_INS_XOR:
      if (to.type == X86_OP_REG && its.operands[1].type == X86_OP_REG && to.reg == its.operands[1].reg)
        result = Constant(0);
      if (left.kind == Value::kShifted && right == Constant(-1)) result = {Value::kKept, left.number};
      break;
    case X86_INS_NOT:
      if (left.kind == Value::kShifted) result = {Value::kKept, left.number};
      if (left.kind == Value::kKept) result = {Value::kShifted, left.number};
      if (left.kind == Value::kConstant) result = Constant(~left.number);
      break;
    case X86_INS_SHL:
    case X86_INS_SAL:
      if (left.kind == Value::kConstant) result = {Value::kShifted, left.number};
      break;
    case X86_INS_ROL:  // of all bits but some: the same as shifting those and inverting
      if (left.kind == Value::kConstant)
        result = {Value::kKept, static_cast<int64_t>(~static_cast<uint32_t>(left.number))};
      break;
    default:
      break;
  }
  Set(to, result);
}

bool WindowState::StepKnown(const Decoded& its) {
  const cs_x86_op& to = its.operands[0];
  switch (its.id) {
    case X86_INS_MOV:
    case X86_INS_MOVABS:
    case X86_INS_MOVZX: {
      if (its.operand_count != 2) return false;
      Value value = Of(its.operands[1]);
      // Narrow pieces of anything but a byte from memory are not followed.
      const bool byte = value.kind == Value::kByteThere || value.kind == Value::kFrameByte;
      if (to.type == X86_OP_REG && to.size < 4 && !byte) value = {};
      if (its.id == X86_INS_MOVZX && !byte) value = {};
      Set(to, value);
      return true;
    }
    case X86_INS_LEA: {
      const cs_x86_op& from = its.operands[1];
      Value value;
      if (const auto place = FramePlace(from)) value = {Value::kFrame, *place};
      if (from.mem.base == X86_REG_RIP) value = Constant(static_cast<int64_t>(its.next()) + from.mem.disp);
      Set(to, value);
      return true;
    }
    case X86_INS_PUSH:
    case X86_INS_POP: {
      Value& stack = registers_[kRsp];
      const Value pushed = Of(to);
      const int64_t before = stack.number;
      if (stack.kind == Value::kFrame) stack.number += its.id == X86_INS_PUSH ? -8 : 8;
      if (its.id == X86_INS_PUSH) {
        if (stack.kind == Value::kFrame) frame_[stack.number] = pushed;
      } else {
        const auto at = frame_.find(before);
        const Value popped = stack.kind == Value::kFrame && at != frame_.end() ? at->second : Value();
        Set(to, popped);
      }
      return true;
    }
    case X86_INS_LEAVE: {
      const Value base = registers_[5];
      registers_[kRsp] = base.kind == Value::kFrame ? Value{Value::kFrame, base.number + 8} : Value();
      const auto at = frame_.find(base.number);
      registers_[5] = base.kind == Value::kFrame && at != frame_.end() ? at->second : Value();
      return true;
    }
    case X86_INS_CMP:
    case X86_INS_TEST:
      Compare(its);
      return true;
    default:
      return false;
  }
}

void WindowState::Step(const Decoded& its) {
  if (StepKnown(its)) return;
  if (!its.keeps_flags) compared.reset();
  switch (its.id) {
    case X86_INS_ADD:
    case X86_INS_SUB:
    case X86_INS_AND:
    case X86_INS_XOR:
    case X86_INS_NOT:
    case X86_INS_SHL:
    case X86_INS_SAL:
    case X86_INS_ROL:
      return Arithmetic(its);
    default:
      break;
  }
  for (size_t i = 0; i < registers_.size(); ++i) {
    if ((its.written >> i & 1) == 0) continue;
    registers_[i] = {};
    if (static_cast<int>(i) == compared_register_) compared_register_ = -1;
  }
  if (its.operand_count > 0 && its.operands[0].type == X86_OP_MEM) Store(its.operands[0], {});
}

void WindowState::Call(const Value& result) {
  for (size_t i = 0; i < registers_.size(); ++i) {
    if ((kCallerSaved >> i & 1) != 0) registers_[i] = {};
  }
  registers_[kRax] = result;
  compared.reset();
  compared_register_ = -1;
}

void WindowState::Equal() {
  if (!compared || compared_register_ < 0) return;
  registers_[static_cast<size_t>(compared_register_)] = Constant(compared->second);
}

void WindowState::Land() { Call({}); }

bool WindowState::Merge(const WindowState& other) {
  bool changed = false;
  for (size_t i = 0; i < registers_.size(); ++i) {
    if (registers_[i] == other.registers_[i] || registers_[i].kind == Value::kUnknown) continue;
    registers_[i] = {};
    changed = true;
  }
  changed |= std::erase_if(frame_, [&](const auto& its) {
               const auto at = other.frame_.find(its.first);
               return at == other.frame_.end() || at->second != its.second;
             }) != 0;
  changed |= std::erase_if(set_flags, [&](int64_t flag) { return !other.set_flags.contains(flag); }) != 0;
  if (compared_register_ != other.compared_register_) compared_register_ = -1;
  if (compared && compared != other.compared) {
    compared.reset();
    changed = true;
  }
  return changed;
}

}  // namespace lightning::faults
