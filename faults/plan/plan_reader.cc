#include "faults/plan/plan_reader.h"

#include <fmt/format.h>

#include <algorithm>

namespace lightning::faults {
namespace {

std::string Joined(std::span<const std::string_view> words) {
  std::string text;
  for (const std::string_view word : words) text.append(text.empty() ? "" : ", ").append(word);
  return text;
}

// Insertions, deletions, replacements and swaps of neighbours that make one word of the other.
size_t Edits(std::string_view a, std::string_view b) {
  std::vector<size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before = last;
    last = row;
  }
  return last[b.size()];
}

}  // namespace

std::string_view NearestWord(std::string_view wrong, std::span<const std::string_view> known) {
  std::string_view nearest;
  if (wrong.size() > 40) return nearest;
  size_t fewest = wrong.size() / 3 + 1;
  for (const std::string_view word : known) {
    const size_t edits = Edits(wrong, word);
    if (edits > fewest || (edits == fewest && !nearest.empty()) || edits >= word.size()) continue;
    fewest = edits;
    nearest = word;
  }
  return nearest;
}

PlanToken PlanReader::Take() {
  PlanToken token = std::move(next_);
  next_ = lexer_.Next();
  return token;
}

void PlanReader::Fail(const PlanToken& at, std::string message) {
  throw PlanError{at.line, at.column, std::move(message)};
}

PlanToken PlanReader::Expect(PlanToken::Kind kind, std::string_view what) {
  if (next_.kind != kind) Fail(next_, fmt::format("expected {}, not {}", what, Describe(next_)));
  return Take();
}

void PlanReader::ExpectWord(std::string_view word) {
  const PlanToken token = Take();
  if (token.kind != PlanToken::kWord || token.text != word)
    Fail(token, fmt::format("expected \"{}\", not {}", word, Describe(token)));
}

void PlanReader::EndLine() {
  if (next_.kind == PlanToken::kEndOfText) return;
  Expect(PlanToken::kEndOfLine, "the end of the line");
}

void PlanReader::OpenBlock() {
  Expect(PlanToken::kOpen, "\"{\"");
  EndLine();
}

bool PlanReader::CloseBlock(const PlanToken& owner) {
  if (next_.kind == PlanToken::kEndOfText)
    Fail(next_, fmt::format("expected \"}}\": the block of \"{}\" on line {} is not closed", owner.text, owner.line));
  if (next_.kind != PlanToken::kClose) return false;
  Take();
  EndLine();
  return true;
}

void PlanReader::Unknown(const PlanToken& at, std::string_view what, std::span<const std::string_view> known) {
  std::string message = fmt::format("expected {}, not {}", what, Describe(at));
  const std::string_view nearest = at.kind == PlanToken::kWord ? NearestWord(at.text, known) : std::string_view();
  message +=
      nearest.empty() ? fmt::format("; known: {}", Joined(known)) : fmt::format("; did you mean \"{}\"?", nearest);
  Fail(at, std::move(message));
}

uint64_t PlanReader::Number(std::string_view what, uint64_t least, uint64_t most, bool sizes) {
  const PlanToken token = Take();
  std::string_view digits = token.text;
  const bool hex = digits.starts_with("0x") || digits.starts_with("0X");
  uint64_t unit = 1;
  if (sizes && !hex && digits.size() > 1 && (digits.back() == 'K' || digits.back() == 'M')) {
    unit = digits.back() == 'K' ? 1024 : 1024 * 1024;
    digits.remove_suffix(1);
  }
  if (hex) digits.remove_prefix(2);
  const uint64_t base = hex ? 16 : 10;
  bool is_number = token.kind == PlanToken::kWord && !digits.empty(), fits = true;
  uint64_t value = 0;
  for (const char c : digits) {
    const bool decimal = c >= '0' && c <= '9', letter = (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    is_number &= decimal || (hex && letter);
    const auto digit = static_cast<uint64_t>(decimal ? c - '0' : (c | 0x20) - 'a' + 10);
    if (is_number)
      fits &= !__builtin_mul_overflow(value, base, &value) && !__builtin_add_overflow(value, digit, &value);
  }
  fits &= !__builtin_mul_overflow(value, unit, &value);
  if (!is_number) {
    Fail(token, fmt::format("expected {}, a number in decimal or 0x form{}, not {}", what,
                            sizes ? ", with K or M if you like" : "", Describe(token)));
  }
  if (!fits || value < least || value > most)
    Fail(token, fmt::format("{} must be {} to {}, not {}", what, least, most, Describe(token)));
  return value;
}

PlanToken PlanSettings::TakeName(PlanReader& reader, std::string_view what,
                                 std::initializer_list<std::string_view> known) {
  PlanToken token = reader.Take();
  if (token.kind == PlanToken::kWord && std::find(known.begin(), known.end(), token.text) != known.end()) return token;
  PlanReader::Unknown(token, what, std::span(known.begin(), known.size()));
}

void PlanSettings::Once(const PlanToken& name) {
  const auto [at, fresh] = said_.emplace(name.text, name);
  if (!fresh) PlanReader::Fail(name, fmt::format("\"{}\" is said twice, first on line {}", name.text, at->second.line));
}

}  // namespace lightning::faults
