// Steps a victim from its first marker to its second, and tells after which instructions the control region of its
// segment had changed.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "faults/check/undo_watch.h"
#include "faults/check/word_place.h"
#include "faults/engine/decoder.h"
#include "faults/engine/tracee.h"
#include "faults/report/step_record.h"
#include "store/segment/segment.h"

namespace lightning::faults {

struct StepCounts {
  uint64_t instructions = 0;
  uint64_t changes = 0;  // instructions after which the control region was another
};

class Stepper {
 public:
  // `segment`: a view of the file, shared with the victim. `path`: its name in the victim's list of mappings. `words`:
  // gets the words that change.
  Stepper(Tracee& tracee, const Segment& segment, std::string path, ChangedWords* words = nullptr);

  // What to do at an instruction that changed the control region: its number, from 1, and its address. False: stop.
  using OnChange = std::function<bool(uint64_t instruction, uint64_t address)>;
  // Until the next marker (then `*ended`), or until the callback or `limit` instructions stop it. An error text, or
  // "".
  std::string Run(uint64_t limit, const OnChange& on_change, StepCounts* counts, bool* ended);
  // Before another Run, when the victim or others went on without being stepped.
  void Resync();
  // For the callback: the words that the instruction has changed.
  std::span<const WordChange> changes() const { return changes_; }
  // For the report of a failure: from here on, keep what each instruction changed.
  struct Change {
    uint64_t instruction = 0, address = 0;
    WordChange word;
    uint64_t word_address = 0;  // in the victim; 0 where the kernel stored for it
  };
  void KeepChanges() { keep_changes_ = true; }
  const std::vector<Change>& kept_changes() const { return kept_changes_; }
  // The addresses of the last instructions, the oldest first; at most kRecent.
  static constexpr size_t kRecent = 256;
  std::vector<uint64_t> RecentAddresses() const;
  // Every instruction since the beginning. For the callback: the last is the one that changed something, and gets its
  // outcome there.
  StepTrace& trace() { return trace_; }

 private:
  enum class Target { kElsewhere, kSegment, kUnknown };
  Target Locate(uint64_t address, uint64_t* offset);
  void ReadMappings();
  // Whether the words from `begin` to `end` differ from the shadow, which then gets them; `changes_` gets the words.
  bool Changed(uint64_t begin, uint64_t end);
  uint32_t LastInProgram() const;
  bool LookAfter(const Instruction& instruction, const user_regs_struct& before);

  struct Mapping {
    uint64_t begin, end, file_offset;
    bool ours;
  };

  Tracee& tracee_;
  const Segment& segment_;
  const std::string path_;
  ChangedWords* const words_;
  const uint64_t watched_;  // bytes from the beginning that are compared
  Decoder decoder_;
  std::vector<std::byte> shadow_;
  std::vector<WordChange> changes_;
  std::vector<Mapping> mappings_;
  const ProgramRange program_;
  StepTrace trace_;
  std::vector<uint64_t> recent_ = std::vector<uint64_t>(kRecent);  // by the instruction's place in the trace
  uint64_t stored_through_ = 0;  // where the segment stands through which the last instruction stored, or 0
  bool keep_changes_ = false;
  std::vector<Change> kept_changes_;
};

}  // namespace lightning::faults
