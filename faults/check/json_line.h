// One line of a file of JSON objects: a flat object of strings, whole numbers, true, false and null (RFC 8259), with
// the column of everything in it, so that an error can point at what is wrong.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace lightning::faults {

struct JsonScalar {
  enum class Kind { kNull, kTrue, kFalse, kNumber, kString };
  Kind kind = Kind::kNull;
  std::string text;  // of a string, what it means, as UTF-8; of a number, as it stands
  size_t column = 0;

  bool IsWhole() const { return kind == Kind::kNumber && text.find_first_of(".eE") == std::string::npos; }
};

struct JsonField {
  std::string name;
  size_t column = 0;
  JsonScalar value;
};

struct JsonError {
  size_t column = 0;  // in bytes, from 1
  std::string what;
};

// False, and what is wrong, if the line is no such object or names a field twice.
bool ParseJsonLine(std::string_view line, std::vector<JsonField>* fields, JsonError* error);

// The text as JSON writes it, with its quotes.
std::string QuoteJson(std::string_view text);

}  // namespace lightning::faults
