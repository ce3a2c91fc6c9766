// Known bugs, planted one at a time in a copy of the sources, to see whether the harness catches each: a harness that
// has never failed has not been tested. A mutant is a patch in faults/mutants/ that says in its first lines which rule
// it breaks, of which class of bugs it is, and what it does; and, where that is not the rule, what should see it:
//
//   Rule: 2, a log entry is complete before the write it undoes
//   Class: U1
//   Part: store_tests GateTest.*
//
// docs/mutants.md lists them all and tells how to add one.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "faults/report/finding.h"

namespace lightning::faults {

// Something that may catch a mutant: an engine with its arguments (sim, step, ops, kills, stray), or a test program
// with the names of its tests. `keys` before a test program: it needs protection keys, and where the machine has none
// it runs in the emulated one.
using Part = std::vector<std::string>;

struct Mutant {
  std::string name, rule, kind, patch;  // `kind`: U1 and the like; `patch`: path of the file, empty: no bug
  std::vector<Part> parts;              // in turn, until one catches it
};

struct MutantResult {
  std::string name, rule;
  bool caught = false;
  std::string by;       // the part that found something; empty when none did
  double seconds = 0;   // of running, not of building
  uint64_t states = 0;  // crash states that were judged until then; 0: by a test or a real process
  std::string what;     // it found
  std::string error;    // the mutant could not be tried: no verdict, and a failure
  bool cannot_run = false;
};

// One patch. Throws std::runtime_error when it cannot be read.
Mutant ReadMutant(const std::string& path);
// The patches in `root`/faults/mutants, by name. Throws std::runtime_error when one lacks its first lines.
std::vector<Mutant> ListMutants(const std::string& root);
// The sources without a bug, for all the parts that these need.
Mutant ControlOf(const std::vector<Mutant>& mutants);
// The root of the sources: the working directory when it is one, else where this program was built; empty: neither.
std::string SourceRoot();

// What a build of the copy needs, below the root.
inline constexpr std::array kMutantFolders = {"cmake", "store", "faults", "bench", "crashtests", "pkeys_tests", "fuzz"};

// Builds a copy of the sources with the bug under `root`/build/mutants, and runs what should catch it. One at a time
// for a root.
class MutantLab {
 public:
  explicit MutantLab(std::string root, uint64_t seed = 1);
  MutantResult Try(const Mutant& mutant);

 private:
  void CopySources() const;
  std::string Build(const std::string& target);
  std::string Shell(const std::string& command) const;
  void RunPart(const Part& part, MutantResult* result) const;
  void RunTests(const Part& part, MutantResult* result) const;

  const std::string root_, lab_;
  const uint64_t seed_;
  bool configured_ = false;
};

}  // namespace lightning::faults
