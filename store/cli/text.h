// Bytes as text: keys and values may be any bytes, terminals and JSON may not.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace lightning::cli {

// True when `bytes` is well-formed UTF-8 (no overlong forms, no surrogates).
bool IsUtf8(std::string_view bytes);

// One line of printable text: a backslash doubles, control bytes and whatever is not UTF-8 become \xNN.
std::string Escape(std::string_view bytes);

std::string ToHex(std::string_view bytes);
// The reverse; empty when `hex` has an odd length or a character that is no hexadecimal digit.
std::optional<std::string> FromHex(std::string_view hex);

std::string ToBase64(std::string_view bytes);

// "4096", "64K", "256M", "2G", "1T", with an optional "B" or "iB" behind the letter: powers of 1,024. Empty when it is
// anything else or exceeds 64 bits.
std::optional<uint64_t> ParseSize(std::string_view text);

// "512 B", "1.5 MiB".
std::string HumanBytes(uint64_t bytes);

}  // namespace lightning::cli
