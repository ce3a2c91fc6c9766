#include "faults/report/step_record.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <fstream>

namespace lightning::faults {

void StepRecord::Fold(const StepTrace& trace, bool judged, bool last_judged) {
  for (const StepPoint& point : trace) {
    if (point.address == StepPoint::kElsewhere) continue;
    // Grows to the program's size, a few megabytes.
    if (point.address >= points_.size()) points_.resize(point.address + point.address / 2 + 4096);
    PointCounts& counts = points_[point.address];
    ++counts.stepped;
    const bool its = judged || (last_judged && &point == &trace.back());
    counts.judged += its;
    counts.changed += its && point.outcome != PointOutcome::kUnchanged;
  }
}

void StepRecord::AddRun(const std::string& title, const std::string& command, StepTrace trace, double seconds) {
  Fold(trace, /*judged=*/true);
  const std::string name = title.substr(0, title.rfind(", seed"));
  auto its = std::find_if(operations_.begin(), operations_.end(), [&](const auto& o) { return o.name == name; });
  if (its == operations_.end()) {
    its = operations_.emplace(its);
    its->name = name;
  }
  ++its->runs;
  its->seconds += seconds;
  its->instructions += trace.size();
  bool failed = false;
  for (const StepPoint& point : trace) {
    its->changes += point.outcome != PointOutcome::kUnchanged;
    its->distinct += point.outcome > PointOutcome::kDuplicate;
    failed |= point.outcome == PointOutcome::kFailed;
  }
  if (its->runs > 1 && !failed) return;
  its->title = title;
  its->command = command;
  its->trace = std::move(trace);
}

ProgramRange FindProgram(pid_t process) {
  char name[4096];
  const ssize_t length = readlink(fmt::format("/proc/{}/exe", process).c_str(), name, sizeof name);
  if (length <= 0) return {};
  const std::string program(name, static_cast<size_t>(length));
  ProgramRange range;
  std::ifstream maps(fmt::format("/proc/{}/maps", process));
  for (std::string line; std::getline(maps, line);) {
    uint64_t begin = 0, end = 0, offset = 0;
    if (!line.ends_with(" " + program)) continue;
    if (sscanf(line.c_str(), "%" SCNx64 "-%" SCNx64 " %*s %" SCNx64, &begin, &end, &offset) != 3) continue;
    if (range.begin == 0 && offset != 0) return {};  // not as linkers lay programs out
    if (range.begin == 0) range.begin = begin;
    range.end = end;
  }
  return range;
}

}  // namespace lightning::faults
