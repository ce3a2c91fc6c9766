// Known bugs, planted one at a time in a copy of the sources, to see whether the harness catches each: a harness that
// has never failed has not been tested. A mutant is a patch in faults/mutants/ that says in its first lines which rule
// it breaks and which part should see it:
//
//   Rule: 2, a log entry is complete before the write it undoes
//   Part: step --seconds 50
#pragma once

#include <string>
#include <vector>

#include "faults/report/finding.h"

namespace lightning::faults {

struct Mutant {
  std::string name, rule, patch;  // `patch`: path of the file
  std::vector<std::string> part;  // arguments of lightning-faults
};

struct MutantResult {
  std::string name, rule;
  bool caught = false;
  std::string by;      // the part that found something; empty when none did
  double seconds = 0;  // of running, not of building
  std::string what;    // it found
  std::string error;   // the mutant could not be tried: no verdict, and a failure
};

// The patches in `root`/faults/mutants, by name. Throws std::runtime_error when one lacks its first lines.
std::vector<Mutant> ListMutants(const std::string& root);
// The root of the sources: the working directory when it is one, else where this program was built; empty: neither.
std::string SourceRoot();

// Builds a copy of the sources with the bug under `root`/build/mutants, and runs the part for at most `seconds`.
class MutantLab {
 public:
  explicit MutantLab(std::string root);
  MutantResult Try(const Mutant& mutant, double seconds);

 private:
  std::string CopySources() const;
  std::string Build() const;
  std::string Shell(const std::string& command) const;

  const std::string root_, lab_;
};

}  // namespace lightning::faults
