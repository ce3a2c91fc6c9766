// Cuts the text of a plan into words, keys, braces and ends of lines.
#pragma once

#include <string>
#include <string_view>

#include "faults/plan/plan_text.h"

namespace lightning::faults {

struct PlanToken {
  enum Kind : uint8_t { kWord, kKey, kOpen, kClose, kEndOfLine, kEndOfText } kind = kEndOfText;
  std::string text;  // the word as it stands, or the key's bytes
  uint32_t line = 1, column = 1;
};
// As a message names it.
std::string Describe(const PlanToken& token);

class PlanLexer {
 public:
  explicit PlanLexer(std::string_view text) : text_(text) {}
  // Any number of ends of lines at once; at the end of the text, that again and again. Throws PlanError.
  PlanToken Next();

 private:
  bool AtEnd() const { return at_ == text_.size(); }
  char Peek() const { return text_[at_]; }
  void Advance();
  void SkipBlank();
  std::string Key(const PlanToken& begin);
  char Escaped();
  [[noreturn]] void Fail(uint32_t line, uint32_t column, std::string message) const;

  const std::string_view text_;
  size_t at_ = 0;
  uint32_t line_ = 1, column_ = 1;
};

}  // namespace lightning::faults
