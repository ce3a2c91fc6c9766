// Text inside XML and HTML.
#pragma once

#include <string>
#include <string_view>

namespace lightning::faults {

// Any bytes as text of an element or of a quoted attribute, in XML 1.0 and in HTML. What neither can hold (control
// characters but tab and newline, bytes that are no UTF-8) becomes U+FFFD.
std::string EscapeMarkup(std::string_view text);

// 1234567 as 1,234,567.
std::string Thousands(uint64_t number);

}  // namespace lightning::faults
