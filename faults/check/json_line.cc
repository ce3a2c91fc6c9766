#include "faults/check/json_line.h"

#include <cstdint>
#include <nlohmann/json.hpp>

namespace lightning::faults {
namespace {

// Length of the valid UTF-8 sequence that the text begins with, or 0 (RFC 3629: no surrogates, nothing overlong).
size_t Utf8Length(std::string_view text) {
  auto byte = [&](size_t i) { return i < text.size() ? static_cast<uint8_t>(text[i]) : 0u; };
  auto follows = [&](size_t i) { return (byte(i) & 0xC0) == 0x80; };
  const unsigned first = byte(0), second = byte(1);
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return follows(1) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    const bool fair = !(first == 0xE0 && second < 0xA0) && !(first == 0xED && second >= 0xA0);
    return fair && follows(1) && follows(2) ? 3 : 0;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    const bool fair = !(first == 0xF0 && second < 0x90) && !(first == 0xF4 && second >= 0x90);
    return fair && follows(1) && follows(2) && follows(3) ? 4 : 0;
  }
  return 0;
}

void AppendUtf8(uint32_t point, std::string* to) {
  auto add = [&](uint32_t byte) { to->push_back(static_cast<char>(byte)); };
  if (point < 0x80) {
    add(point);
  } else if (point < 0x800) {
    add(0xC0 | point >> 6);
    add(0x80 | (point & 0x3F));
  } else if (point < 0x10000) {
    add(0xE0 | point >> 12);
    add(0x80 | (point >> 6 & 0x3F));
    add(0x80 | (point & 0x3F));
  } else {
    add(0xF0 | point >> 18);
    add(0x80 | (point >> 12 & 0x3F));
    add(0x80 | (point >> 6 & 0x3F));
    add(0x80 | (point & 0x3F));
  }
}

class Parser {
 public:
  Parser(std::string_view line, JsonError* error) : line_(line), error_(error) {}

  bool Object(std::vector<JsonField>* fields) {
    fields->clear();
    Space();
    if (!Expect('{', "an object, { ... }")) return false;
    Space();
    if (!Take('}')) {
      do {
        JsonField field;
        Space();
        field.column = Column();
        if (Peek() != '"') return Fail("expected the name of a field, in quotes");
        if (!String(&field.name)) return false;
        for (const JsonField& other : *fields) {
          if (other.name == field.name) return Fail("field " + QuoteJson(field.name) + " twice", field.column);
        }
        Space();
        if (!Expect(':', "a colon")) return false;
        Space();
        if (!Scalar(&field.value)) return false;
        fields->push_back(std::move(field));
        Space();
      } while (Take(','));
      if (!Expect('}', "a comma or }")) return false;
    }
    Space();
    return at_ == line_.size() || Fail("more after the object");
  }

 private:
  size_t Column() const { return at_ + 1; }
  char Peek() const { return at_ < line_.size() ? line_[at_] : '\0'; }
  bool Fail(std::string what, size_t column = 0) {
    *error_ = {column != 0 ? column : Column(), std::move(what)};
    return false;
  }
  bool Take(char c) {
    if (at_ == line_.size() || line_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool Expect(char c, const std::string& what) { return Take(c) || Fail("expected " + what); }
  void Space() {
    while (at_ < line_.size() && (line_[at_] == ' ' || line_[at_] == '\t' || line_[at_] == '\r')) ++at_;
  }
  bool Word(std::string_view word) {
    if (line_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }

  bool Scalar(JsonScalar* scalar) {
    using Kind = JsonScalar::Kind;
    scalar->column = Column();
    if (Peek() == '"') {
      scalar->kind = Kind::kString;
      return String(&scalar->text);
    }
    if (Word("null")) return scalar->kind = Kind::kNull, true;
    if (Word("true")) return scalar->kind = Kind::kTrue, true;
    if (Word("false")) return scalar->kind = Kind::kFalse, true;
    scalar->kind = Kind::kNumber;
    return Number(&scalar->text);
  }

  bool Digits() {
    const size_t begin = at_;
    while (at_ < line_.size() && line_[at_] >= '0' && line_[at_] <= '9') ++at_;
    return at_ > begin;
  }

  bool Number(std::string* text) {
    const size_t begin = at_;
    Take('-');
    const bool zero = Peek() == '0';
    const size_t first = at_;
    if (!Digits()) {
      at_ = begin;
      return Fail("expected a string, a number, true, false or null");
    }
    if (zero && at_ > first + 1) return Fail("a number that begins with 0", begin + 1);
    if (Take('.') && !Digits()) return Fail("expected digits");
    if (Take('e') || Take('E')) {
      if (!Take('+')) Take('-');
      if (!Digits()) return Fail("expected digits");
    }
    *text = line_.substr(begin, at_ - begin);
    return true;
  }

  bool String(std::string* text) {
    const size_t begin = at_++;
    while (at_ < line_.size()) {
      const char c = line_[at_];
      if (c == '"') return ++at_, true;
      if (c == '\\') {
        if (!Escape(text)) return false;
        continue;
      }
      if (static_cast<uint8_t>(c) < 0x20) return Fail("a control character in a string");
      const size_t length = Utf8Length(line_.substr(at_));
      if (length == 0) return Fail("not UTF-8");
      text->append(line_.substr(at_, length));
      at_ += length;
    }
    return Fail("a string without an end", begin + 1);
  }

  bool Escape(std::string* text) {
    static constexpr std::string_view kLetters = "\"\\/bfnrt", kMeanings = "\"\\/\b\f\n\r\t";
    const size_t begin = at_++;
    if (Take('u')) {
      uint32_t point = 0, low = 0;
      if (!Hex(&point)) return false;
      if (point >= 0xDC00 && point < 0xE000) return Fail("half of a surrogate pair", begin + 1);
      if (point >= 0xD800 && point < 0xDC00) {
        if (!Word("\\u")) return Fail("half of a surrogate pair", begin + 1);
        if (!Hex(&low)) return false;
        if (low < 0xDC00 || low >= 0xE000) return Fail("half of a surrogate pair", begin + 1);
        point = 0x10000 + ((point - 0xD800) << 10) + (low - 0xDC00);
      }
      AppendUtf8(point, text);
      return true;
    }
    const size_t which = at_ < line_.size() ? kLetters.find(line_[at_]) : std::string_view::npos;
    if (which == std::string_view::npos) return Fail("no such escape", begin + 1);
    text->push_back(kMeanings[which]);
    ++at_;
    return true;
  }

  bool Hex(uint32_t* value) {
    static constexpr std::string_view kDigits = "0123456789abcdef";
    for (int i = 0; i < 4; ++i) {
      const char c = Peek();
      const size_t digit = kDigits.find(c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c);
      if (digit == std::string_view::npos) return Fail("expected four hexadecimal digits");
      *value = *value << 4 | static_cast<uint32_t>(digit);
      ++at_;
    }
    return true;
  }

  const std::string_view line_;
  JsonError* const error_;
  size_t at_ = 0;
};

}  // namespace

bool ParseJsonLine(std::string_view line, std::vector<JsonField>* fields, JsonError* error) {
  return Parser(line, error).Object(fields);
}

std::string QuoteJson(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace lightning::faults
