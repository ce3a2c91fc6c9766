// The engines check each other: every word of the control region that the step engine sees changing must be one whose
// stores the simulation decides about. One that it does not know is changed by code that goes around the types of
// store/segment/atomic.h: no crash point and no scheduling point stands there, and all that the simulation says about
// it is worth nothing.
#pragma once

#include <set>
#include <string>

#include "faults/check/word_place.h"
#include "faults/report/finding.h"

namespace lightning::faults {

struct CrossCheck {
  uint64_t stepped = 0, hooked = 0;  // kinds of words: structure and offset in it
  double seconds = 0;
  std::string cannot_run;  // the missing fact
};

// Runs enough simulated plans, always the same ones, to have met all kinds of words; about two seconds.
CrossCheck CrossCheckWords(const ChangedWords& stepped, Findings* findings);

// The comparison: a finding for each kind of word that is not in `hooked`, with the word's offset in the segment and
// the source line that changed it. `program`: that was stepped.
void CompareWords(const ChangedWords& stepped, const std::set<WordPlace>& hooked, const std::string& program,
                  Findings* findings);

}  // namespace lightning::faults
