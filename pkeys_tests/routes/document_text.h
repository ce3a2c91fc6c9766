// The prose of docs/isolation.md, in the order of the page.
#pragma once

namespace lightning::routes {

extern const char* const kIntroduction;
extern const char* const kRemainsText;
extern const char* const kHowOftenText;
extern const char* const kOutOfScopeText;
extern const char* const kDetectedText;
extern const char* const kStoppedText;
extern const char* const kCostsText;
extern const char* const kCostsReadingText;
extern const char* const kCostsEndText;
extern const char* const kLanesText;
extern const char* const kRowsText;

}  // namespace lightning::routes
