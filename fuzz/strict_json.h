// A reader of JSON (RFC 8259) that lets nothing pass which some other reader might choke on: one value and nothing
// after it, well-formed UTF-8, no name twice in an object, at most 64 levels.
#pragma once

#include <string>
#include <string_view>

namespace lightning::fuzz {

// What is wrong with the text, or "".
std::string CheckStrictJson(std::string_view text);

}  // namespace lightning::fuzz
