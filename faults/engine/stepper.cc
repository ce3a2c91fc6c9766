#include "faults/engine/stepper.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <fstream>

#include "faults/engine/looks.h"

namespace lightning::faults {

Stepper::Stepper(Tracee& tracee, const Segment& segment, std::string path, ChangedWords* words)
    : tracee_(tracee),
      segment_(segment),
      path_(std::move(path)),
      words_(words),
      watched_(segment.geometry().doorbells),
      shadow_(segment.view(), segment.view() + watched_),
      program_(FindProgram(tracee.pid())) {
  ReadMappings();
}

void Stepper::Resync() {
  ReadMappings();
  shadow_.assign(segment_.view(), segment_.view() + watched_);
}

void Stepper::ReadMappings() {
  mappings_.clear();
  std::ifstream maps(fmt::format("/proc/{}/maps", tracee_.pid()));
  std::string line;
  while (std::getline(maps, line)) {
    Mapping mapping = {};
    char rights[8];
    if (sscanf(line.c_str(), "%lx-%lx %7s %lx", &mapping.begin, &mapping.end, rights, &mapping.file_offset) != 4)
      continue;
    mapping.ours = line.find(path_) != std::string::npos;
    mappings_.push_back(mapping);
  }
}

Stepper::Target Stepper::Locate(uint64_t address, uint64_t* offset) {
  const auto at = std::upper_bound(mappings_.begin(), mappings_.end(), address,
                                   [](uint64_t a, const Mapping& m) { return a < m.end; });
  if (at == mappings_.end() || address < at->begin) return Target::kUnknown;
  *offset = address - at->begin + at->file_offset;
  return at->ours ? Target::kSegment : Target::kElsewhere;
}

bool Stepper::Changed(uint64_t begin, uint64_t end) {
  begin &= ~uint64_t{7};
  end = std::min(RoundUp(end, 8), watched_);
  if (begin >= end || memcmp(shadow_.data() + begin, segment_.view() + begin, end - begin) == 0) return false;
  for (uint64_t at = begin; at < end; at += sizeof(uint64_t)) {
    WordChange change{at, 0, 0};
    memcpy(&change.before, shadow_.data() + at, sizeof change.before);
    memcpy(&change.after, segment_.view() + at, sizeof change.after);
    if (change.before == change.after) continue;
    memcpy(shadow_.data() + at, &change.after, sizeof change.after);
    changes_.push_back(change);
  }
  return true;
}

bool Stepper::LookAfter(const Instruction& instruction, const user_regs_struct& before) {
  changes_.clear();
  stored_through_ = 0;
  if (instruction.unknown) return Changed(0, watched_);
  if (instruction.system_call) {
    if (ChangesMappings(before.rax)) ReadMappings();
    return Changed(0, watched_);
  }
  bool changed = false;
  for (uint8_t i = 0; i < instruction.operand_count; ++i) {
    uint64_t address = 0, offset = 0;
    if (!EffectiveAddress(instruction, instruction.operands[i], before, &address)) {
      changed |= Changed(0, watched_);
      continue;
    }
    switch (Locate(address, &offset)) {
      case Target::kElsewhere:
        break;
      case Target::kSegment:
        stored_through_ = address - offset;
        changed |= Changed(offset, offset + kWidestStore);
        break;
      case Target::kUnknown:
        // The stack has grown; or the store did not happen, as that of a string instruction with count zero.
        ReadMappings();
        changed |= Changed(0, watched_);
        break;
    }
  }
  return changed;
}

std::vector<uint64_t> Stepper::RecentAddresses() const {
  std::vector<uint64_t> addresses;
  const size_t end = trace_.size();
  for (size_t at = end - std::min(end, kRecent); at < end; ++at) addresses.push_back(recent_[at % kRecent]);
  return addresses;
}

// Of the last instruction; in a library, of the one that called into it.
uint32_t Stepper::LastInProgram() const {
  const auto at = std::find_if(trace_.rbegin(), trace_.rend(),
                               [](const StepPoint& point) { return point.address != StepPoint::kElsewhere; });
  return at == trace_.rend() ? StepPoint::kElsewhere : at->address;
}

std::string Stepper::Run(uint64_t limit, const OnChange& on_change, StepCounts* counts, bool* ended) {
  *ended = false;
  std::string error;
  while (counts->instructions < limit) {
    const user_regs_struct before = tracee_.registers();
    const Instruction& instruction = decoder_.At(tracee_.pid(), before.rip);
    if (instruction.breakpoint) {
      *ended = true;
      return Changed(0, watched_) ? "a store to the control region was overlooked" : "";
    }
    error = tracee_.Step();
    if (!error.empty()) return error;
    ++counts->instructions;
    recent_[trace_.size() % kRecent] = before.rip;
    trace_.push_back({program_.OffsetOf(before.rip), PointOutcome::kUnchanged});
    const bool changed = LookAfter(instruction, before);
    if (!changed) {
      if (counts->instructions % kFullLookEvery == 0 && Changed(0, watched_))
        return "a store to the control region was overlooked";
      continue;
    }
    ++counts->changes;
    if (keep_changes_) {
      for (const WordChange& change : changes_) {
        const uint64_t place = stored_through_ == 0 ? 0 : stored_through_ + change.offset;
        kept_changes_.push_back({counts->instructions, before.rip, change, place});
      }
    }
    for (const WordChange& change : words_ != nullptr ? changes() : std::span<const WordChange>())
      words_->Note(segment_, change.offset, LastInProgram());
    trace_.back().outcome = PointOutcome::kDuplicate;  // until the callback knows better
    if (!on_change(counts->instructions, before.rip)) return "";
  }
  return "";
}

}  // namespace lightning::faults
