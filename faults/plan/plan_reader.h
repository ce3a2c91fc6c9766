// What every rule of the plan's grammar is written with: one token of lookahead, expectations, numbers within limits,
// and the nearest known word when one is unknown. Throws PlanError, which ParsePlan catches: a parser that checked a
// result after each token would be three times as long and hide its grammar.
#pragma once

#include <initializer_list>
#include <map>
#include <span>
#include <vector>

#include "faults/plan/plan_lexer.h"
#include "faults/plan/plan_words.h"

namespace lightning::faults {

// Known word next to a wrong one: the fewest edits (Damerau 1964), if those are few. Empty when none is near.
std::string_view NearestWord(std::string_view wrong, std::span<const std::string_view> known);

class PlanReader {
 public:
  explicit PlanReader(std::string_view text) : lexer_(text), next_(lexer_.Next()) {}

  const PlanToken& Peek() const { return next_; }
  PlanToken Take();
  bool NextIs(PlanToken::Kind kind) const { return next_.kind == kind; }
  bool NextIsWord(std::string_view word) const { return next_.kind == PlanToken::kWord && next_.text == word; }

  [[noreturn]] static void Fail(const PlanToken& at, std::string message);
  // `what`: what was expected instead, for the message.
  PlanToken Expect(PlanToken::Kind kind, std::string_view what);
  void ExpectWord(std::string_view word);
  void EndLine();
  // "{" and the end of its line.
  void OpenBlock();
  // True, and "}" with its line taken, at the end of the block of `owner`.
  bool CloseBlock(const PlanToken& owner);

  // An unknown word: what was expected, out of which.
  [[noreturn]] static void Unknown(const PlanToken& at, std::string_view what, std::span<const std::string_view> known);
  template <typename T, size_t kCount>
  T OneOf(const std::array<PlanWord<T>, kCount>& words, std::string_view what) {
    const PlanToken token = Take();
    std::array<std::string_view, kCount> known;
    for (size_t i = 0; i < kCount; ++i) {
      if (token.kind == PlanToken::kWord && token.text == words[i].word) return words[i].value;
      known[i] = words[i].word;
    }
    Unknown(token, what, known);
  }

  // Decimal or 0x; with `sizes`, K and M may follow.
  uint64_t Number(std::string_view what, uint64_t least, uint64_t most, bool sizes = false);
  uint32_t Number32(std::string_view what, uint32_t least, uint32_t most) {
    return static_cast<uint32_t>(Number(what, least, most));
  }

 private:
  PlanLexer lexer_;
  PlanToken next_;
};

// Settings of one block or line, each of which may be said once.
class PlanSettings {
 public:
  // Takes the next word, which is one of `known`.
  static PlanToken TakeName(PlanReader& reader, std::string_view what, std::initializer_list<std::string_view> known);
  void Once(const PlanToken& name);

 private:
  std::map<std::string, PlanToken, std::less<>> said_;
};

}  // namespace lightning::faults
