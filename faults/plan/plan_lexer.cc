#include "faults/plan/plan_lexer.h"

#include <fmt/format.h>

#include "faults/model/content.h"

namespace lightning::faults {
namespace {

bool IsWordCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

std::string Describe(const PlanToken& token) {
  switch (token.kind) {
    case PlanToken::kWord:
      return fmt::format("\"{}\"", token.text.size() > 40 ? token.text.substr(0, 40) + "..." : token.text);
    case PlanToken::kKey:
      return "the key " + ShowKey(token.text);
    case PlanToken::kOpen:
      return "\"{\"";
    case PlanToken::kClose:
      return "\"}\"";
    case PlanToken::kEndOfLine:
      return "the end of the line";
    case PlanToken::kEndOfText:
      return "the end of the text";
  }
  return "";
}

void PlanLexer::Fail(uint32_t line, uint32_t column, std::string message) const {
  throw PlanError{line, column, std::move(message)};
}

void PlanLexer::Advance() {
  if (text_[at_++] == '\n') {
    ++line_;
    column_ = 1;
  } else {
    ++column_;
  }
}

void PlanLexer::SkipBlank() {
  while (!AtEnd() && (Peek() == ' ' || Peek() == '\t' || Peek() == '\r')) Advance();
  if (AtEnd() || Peek() != '#') return;
  while (!AtEnd() && Peek() != '\n') Advance();
}

PlanToken PlanLexer::Next() {
  SkipBlank();
  PlanToken token;
  token.line = line_;
  token.column = column_;
  if (AtEnd()) return token;
  const char c = Peek();
  if (c == '\n') {
    token.kind = PlanToken::kEndOfLine;
    while (!AtEnd() && Peek() == '\n') {
      Advance();
      SkipBlank();
    }
  } else if (c == '{' || c == '}') {
    token.kind = c == '{' ? PlanToken::kOpen : PlanToken::kClose;
    Advance();
  } else if (c == '"') {
    token.kind = PlanToken::kKey;
    token.text = Key(token);
  } else if (IsWordCharacter(c)) {
    token.kind = PlanToken::kWord;
    for (; !AtEnd() && IsWordCharacter(Peek()); Advance()) token.text += Peek();
  } else {
    Fail(line_, column_,
         fmt::format("the byte 0x{:02x} has no meaning here; words are made of letters, digits and '-', keys stand in "
                     "double quotes",
                     static_cast<unsigned char>(c)));
  }
  return token;
}

std::string PlanLexer::Key(const PlanToken& begin) {
  std::string key;
  Advance();
  for (;;) {
    if (AtEnd() || Peek() == '\n') Fail(begin.line, begin.column, "this key has no closing '\"' on its line");
    const char c = Peek();
    if (c == '"') break;
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7F)
      Fail(line_, column_, fmt::format("write this byte as \\x{:02x}", static_cast<unsigned char>(c)));
    if (c == '\\') {
      key += Escaped();
    } else {
      key += c;
      Advance();
    }
  }
  Advance();
  return key;
}

char PlanLexer::Escaped() {
  const uint32_t line = line_, column = column_;
  Advance();
  const char c = AtEnd() ? '\n' : Peek();
  if (c == '"' || c == '\\') {
    Advance();
    return c;
  }
  if (c == 'x' && text_.size() - at_ > 2) {
    const int high = HexDigit(text_[at_ + 1]), low = HexDigit(text_[at_ + 2]);
    if (high >= 0 && low >= 0) {
      for (int i = 0; i < 3; ++i) Advance();
      return static_cast<char>(high * 16 + low);
    }
  }
  Fail(line, column, R"(an escape is one of \" \\ \xHH, with two hexadecimal digits)");
}

}  // namespace lightning::faults
