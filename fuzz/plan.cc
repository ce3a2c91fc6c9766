// plan: any text before the parser of plans. It ends, says where what is wrong, and what it accepts has one canonical
// text, which it reads as the same plan again.
#include <algorithm>

#include "faults/plan/plan_text.h"
#include "fuzz/support.h"

namespace {

using namespace lightning::faults;
using lightning::fuzz::Fail;
using lightning::fuzz::Require;

void CheckError(const PlanError& error, std::string_view text) {
  const auto lines = static_cast<uint32_t>(1 + std::count(text.begin(), text.end(), '\n'));
  Require(!error.message.empty(), "a text was refused without a reason");
  Require(error.line >= 1 && error.line <= lines + 1, "an error stands on a line that is not there");
  Require(error.column >= 1 && error.column <= text.size() + 2, "an error stands in a column that is not there");
  Require(!ShowError(error).empty(), "an error shows nothing");
}

}  // namespace

LIGHTNING_FUZZ(plan) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const ParsedPlan parsed = ParsePlan(text);
  if (!parsed) {
    CheckError(parsed.error, text);
    return 0;
  }
  const std::string canonical = PrintPlan(*parsed.plan);
  const ParsedPlan again = ParsePlan(canonical);
  if (!again) Fail("its own text is refused: " + ShowError(again.error) + "\n" + canonical);
  if (!(*again.plan == *parsed.plan)) Fail("its own text is read as another plan:\n" + canonical);
  if (PrintPlan(*again.plan) != canonical) Fail("one plan, two texts:\n" + canonical);
  return 0;
}
