// Crash coverage: which lines of the store a client was killed on, with the outcome judged. Like line coverage, in the
// formats that coverage tools read. docs/coverage.md defines it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "faults/report/line_table.h"
#include "faults/report/step_record.h"

namespace lightning::faults {

struct LineCounts {
  uint32_t line = 0;
  uint64_t stepped = 0;  // instructions of the line that ran, one at a time
  uint64_t judged = 0;   // of those, deaths right after which were judged
  uint64_t changed = 0;  // of those, that had themselves changed the store's state
};

struct FileCoverage {
  std::string file;               // "store/log/recovery.cc"
  std::vector<LineCounts> lines;  // every line that has code, by number
};

struct Coverage {
  std::vector<FileCoverage> files;  // by name
  std::string error;                // why there is none
};

struct CoverageSum {
  uint64_t code = 0;     // lines that have code
  uint64_t stepped = 0;  // of those, that an operation executed
  uint64_t judged = 0;   // of those, on which a client was killed and judged
  uint64_t changed = 0;  // of those, that changed the state there
  double percent() const {
    return stepped == 0 ? 0 : 100.0 * static_cast<double>(judged) / static_cast<double>(stepped);
  }
};

Coverage Resolve(const StepRecord& record, const LineTable& table);

CoverageSum Sum(const FileCoverage& file);
// Of all files whose names begin so.
CoverageSum Sum(const Coverage& coverage, const std::string& prefix);
// "store/log/" and so on, in the order of the names.
std::vector<std::string> Folders(const Coverage& coverage);
// Lines for which `wanted` holds, as "12, 15-17". A run of lines that have no code does not break a range.
std::string LineRanges(const FileCoverage& file, bool (*wanted)(const LineCounts&));

// LCOV's trace format; a line's count is that of its judged deaths.
std::string ToLcov(const Coverage& coverage);
// What a run leaves behind, and back. A malformed text gives a Coverage with an error.
std::string CoverageToJson(const Coverage& coverage);
Coverage CoverageFromJson(const std::string& text);

}  // namespace lightning::faults
