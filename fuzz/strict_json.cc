#include "fuzz/strict_json.h"

#include <set>

namespace lightning::fuzz {
namespace {

constexpr int kDepth = 64;

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  std::string Run() {
    Value(0);
    Space();
    if (error_.empty() && at_ != text_.size()) Fail("something follows the value");
    return error_;
  }

 private:
  bool ok() const { return error_.empty(); }
  void Fail(const char* what) {
    if (ok()) error_ = "byte " + std::to_string(at_) + ": " + what;
    at_ = text_.size();
  }
  bool End() const { return at_ >= text_.size(); }
  char Peek() const { return End() ? '\0' : text_[at_]; }
  bool Take(char c) {
    if (End() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void Space() {
    while (!End() && std::string_view(" \t\n\r").find(text_[at_]) != std::string_view::npos) ++at_;
  }
  void Word(std::string_view word) {
    if (text_.substr(at_, word.size()) != word) return Fail("no value");
    at_ += word.size();
  }

  void Value(int depth) {
    Space();
    if (depth > kDepth) return Fail("too deep");
    switch (Peek()) {
      case '{':
        return Object(depth);
      case '[':
        return Array(depth);
      case '"':
        static_cast<void>(String());
        return;
      case 't':
        return Word("true");
      case 'f':
        return Word("false");
      case 'n':
        return Word("null");
      default:
        return Number();
    }
  }

  void Object(int depth) {
    std::set<std::string> names;
    ++at_;
    Space();
    if (Take('}')) return;
    do {
      Space();
      if (Peek() != '"') return Fail("a name must come here");
      if (!names.insert(String()).second) return Fail("a name comes twice");
      Space();
      if (!Take(':')) return Fail("a colon must come here");
      Value(depth + 1);
      Space();
    } while (ok() && Take(','));
    if (!Take('}')) Fail("an object does not end");
  }

  void Array(int depth) {
    ++at_;
    Space();
    if (Take(']')) return;
    do {
      Value(depth + 1);
      Space();
    } while (ok() && Take(','));
    if (!Take(']')) Fail("an array does not end");
  }

  bool Digits() {
    const size_t begin = at_;
    while (Peek() >= '0' && Peek() <= '9') ++at_;
    return at_ != begin;
  }

  void Number() {
    Take('-');
    if (!Take('0') && !Digits()) return Fail("no value");
    if (Take('.') && !Digits()) return Fail("a point without digits");
    if (Take('e') || Take('E')) {
      if (!Take('+')) Take('-');
      if (!Digits()) return Fail("an exponent without digits");
    }
  }

  // As it stands between its quotes: the writers under test escape one character in one way only.
  std::string String() {
    const size_t begin = ++at_;
    while (ok()) {
      if (End()) return Fail("a string does not end"), "";
      const auto c = static_cast<unsigned char>(text_[at_]);
      if (c == '"') break;
      if (c < 0x20) return Fail("a control byte in a string"), "";
      if (c == '\\') {
        Escape();
      } else if (c < 0x80) {
        ++at_;
      } else {
        Utf8(c);
      }
    }
    return std::string(text_.substr(begin, at_++ - begin));
  }

  uint32_t Hex4() {
    uint32_t value = 0;
    for (int i = 0; i < 4; ++i) {
      const size_t digit = std::string_view("0123456789abcdef0123456789ABCDEF").find(Peek());
      if (End() || digit == std::string_view::npos) return Fail("four hexadecimal digits must come here"), 0;
      value = value * 16 + static_cast<uint32_t>(digit % 16);
      ++at_;
    }
    return value;
  }

  void Escape() {
    ++at_;
    if (!Take('u')) {
      if (End() || std::string_view("\"\\/bfnrt").find(Peek()) == std::string_view::npos) return Fail("no such escape");
      ++at_;
      return;
    }
    const uint32_t unit = Hex4();
    if (unit >= 0xDC00 && unit < 0xE000) return Fail("half of a surrogate pair");
    if (unit < 0xD800 || unit >= 0xDC00) return;
    if (!Take('\\') || !Take('u')) return Fail("half of a surrogate pair");
    const uint32_t low = Hex4();
    if (low < 0xDC00 || low >= 0xE000) Fail("half of a surrogate pair");
  }

  void Utf8(unsigned char first) {
    const int more = first >= 0xF0 ? 3 : first >= 0xE0 ? 2 : 1;
    if (first < 0xC2 || first > 0xF4) return Fail("no UTF-8");
    uint32_t point = first & (0x3FU >> more);
    ++at_;
    for (int i = 0; i < more; ++i, ++at_) {
      if (End() || (static_cast<unsigned char>(text_[at_]) & 0xC0) != 0x80) return Fail("no UTF-8");
      point = point << 6 | (static_cast<unsigned char>(text_[at_]) & 0x3F);
    }
    const bool overlong = (more == 2 && point < 0x800) || (more == 3 && point < 0x10000);
    if (overlong || point > 0x10FFFF || (point >= 0xD800 && point < 0xE000)) Fail("no UTF-8");
  }

  const std::string_view text_;
  size_t at_ = 0;
  std::string error_;
};

}  // namespace

std::string CheckStrictJson(std::string_view text) { return Reader(text).Run(); }

}  // namespace lightning::fuzz
