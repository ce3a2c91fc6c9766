#include "faults/audit/binary_audit.h"

#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <set>
#include <string_view>

#include "faults/audit/elf_code.h"
#include "faults/audit/machine_code.h"
#include "faults/audit/window_paths.h"
#include "faults/report/source_line.h"

namespace lightning::faults {
namespace {

bool IsWrpkru(const uint8_t* at) { return at[0] == 0x0F && at[1] == 0x01 && at[2] == 0xEF; }

// XRSTOR m is 0F AE /5, XRSTORS m is 0F C7 /3; with a register in place of memory they are something else.
const char* XrstorAt(const uint8_t* at) {
  const int place = at[2] >> 6, extension = at[2] >> 3 & 7;
  if (at[0] != 0x0F || place == 3) return nullptr;
  if (at[1] == 0xAE && extension == 5) return "XRSTOR";
  return at[1] == 0xC7 && extension == 3 ? "XRSTORS" : nullptr;
}

class Audit {
 public:
  Audit(const std::string& file, const ElfCode& elf, const std::vector<std::string>& allowed, bool a_library)
      : elf_(elf), code_(elf), paths_(code_), lines_(file), allowed_(allowed), a_library_(a_library) {
    report_.file = file;
    report_.functions = elf.functions().size();
    report_.needed = elf.needed();
  }

  AuditReport Run() {
    for (const ElfCode::Section& section : elf_.code()) Search(section);
    FindCallers();
    FindJumpsInside();
    for (const uint64_t begin : followed_) {
      const Function* function = elf_.FunctionAt(begin);
      for (const PathFinding& finding : paths_.Follow(*function)) Object(finding);
    }
    report_.followed = followed_.size();
    for (const uint64_t target : paths_.targets()) NoteJump(target);
    for (const auto& [write, sequence] : sequences_) {
      if (!paths_.reached().contains(write)) Object({write, "no path from the beginning of its function was found"});
    }
    for (auto& [address, item] : items_) report_.items.push_back(std::move(item));
    return std::move(report_);
  }

 private:
  bool IsAllowed(const std::string& function) const {
    return std::any_of(allowed_.begin(), allowed_.end(),
                       [&](const std::string& pattern) { return fnmatch(pattern.c_str(), function.c_str(), 0) == 0; });
  }

  AuditItem& Add(uint64_t address, const std::string& instruction, AuditItem::Verdict verdict,
                 const std::string& reason) {
    const Function* function = elf_.FunctionAt(address);
    AuditItem item{
        address, instruction, function == nullptr ? "" : function->name, lines_.At(address), lines_.FilesAt(address),
        verdict, reason};
    if (verdict == AuditItem::Verdict::kViolation && IsAllowed(item.function))
      item.verdict = AuditItem::Verdict::kAllowed;
    return items_.insert_or_assign(address, std::move(item)).first->second;
  }

  void Search(const ElfCode::Section& section) {
    report_.code_bytes += section.bytes.size();
    for (size_t i = 0; i + 3 <= section.bytes.size(); ++i) {
      const uint64_t address = section.address + i;
      const uint8_t* const at = section.bytes.data() + i;
      if (at[0] != 0x0F) continue;
      if (IsWrpkru(at)) FoundWrpkru(address);
      if (const char* name = XrstorAt(at)) FoundXrstor(address, name);
    }
  }

  void FoundWrpkru(uint64_t address) {
    if (!code_.BeginsInstruction(address)) {
      Add(address, "WRPKRU", AuditItem::Verdict::kViolation,
          "its bytes stand inside other instructions: a jump into the middle would execute it");
      return;
    }
    std::string missing;
    const auto sequence = SequenceAround(code_, address, &missing);
    if (!sequence) {
      Add(address, "WRPKRU", AuditItem::Verdict::kViolation, missing);
      return;
    }
    sequences_[address] = *sequence;
    Add(address, "WRPKRU", sequence->opens ? AuditItem::Verdict::kOpens : AuditItem::Verdict::kCloses, "");
    const Function* function = elf_.FunctionAt(address);
    if (function == nullptr) {
      Add(address, "WRPKRU", AuditItem::Verdict::kViolation, "belongs to no function whose paths could be followed");
    } else if (!function->part) {
      followed_.insert(function->begin);
    } else {
      FollowOwners(*function);
    }
  }

  // The functions that jump into a cold part.
  void FollowOwners(const Function& part) {
    const std::string owner = part.name.substr(0, part.name.find(" [clone"));
    for (const Function& its : elf_.functions()) {
      if (!its.part && its.name.substr(0, its.name.find(" [clone")) == owner.substr(0, owner.find(".cold")))
        followed_.insert(its.begin);
    }
  }

  void FoundXrstor(uint64_t address, const std::string& name) {
    // A prefix (REX.W: XRSTOR64) stands before it.
    const bool begins = code_.BeginsInstruction(address) ||
                        (code_.At(address - 1).special == Decoded::kXrstor && code_.BeginsInstruction(address - 1));
    if (!begins) {
      Add(address, name, AuditItem::Verdict::kWarning, "its bytes stand inside other instructions");
    } else if (const auto mask = RestoredAt(address); mask && (*mask >> 9 & 1) == 0) {
      // As lazy binding of the C library does it, for what it saved itself.
      Add(address, name, a_library_ ? AuditItem::Verdict::kWarning : AuditItem::Verdict::kViolation,
          fmt::format(
              "not the gate's; its mask {:#x} leaves the rights out, so allow it by name where nobody jumps there",
              *mask));
    } else {
      Add(address, name, AuditItem::Verdict::kViolation,
          "restores rights from memory, and the gate has no such instruction");
    }
  }

  // What an XRSTOR restores, where the instructions right before it are mov eax,MASK; xor edx,edx. Bit 9 is the rights.
  std::optional<uint32_t> RestoredAt(uint64_t address) {
    const Decoded& sets = code_.At(address - 7);
    const Decoded& clears = code_.At(address - 2);
    const bool clear = clears.id == X86_INS_XOR && clears.next() == address && clears.operand_count == 2 &&
                       clears.operands[0].type == X86_OP_REG && clears.operands[0].reg == X86_REG_EDX &&
                       clears.operands[1].type == X86_OP_REG && clears.operands[1].reg == X86_REG_EDX;
    if (!clear || sets.id != X86_INS_MOV || sets.next() != clears.address || sets.operands[0].reg != X86_REG_EAX ||
        sets.operands[1].type != X86_OP_IMM)
      return std::nullopt;
    return static_cast<uint32_t>(sets.operands[1].imm);
  }

  // Calls of the gate's own functions where they were not inlined.
  void FindCallers() {
    std::set<uint64_t> gates;
    for (const Function& its : elf_.functions()) {
      if (WindowPaths::EffectOf(its.name) != WindowPaths::Effect::kNone) gates.insert(its.begin);
    }
    if (gates.empty()) return;
    ForEachDistance([&](uint64_t from, uint64_t target) {
      if (!gates.contains(target)) return;
      const Function* function = elf_.FunctionAt(from);
      if (function != nullptr && !function->part) followed_.insert(function->begin);
    });
  }

  // From anywhere; short ones, where paths were followed.
  void FindJumpsInside() {
    ForEachDistance([&](uint64_t from, uint64_t target) {
      if (Around(target) != nullptr && code_.At(from).target == target && code_.BeginsInstruction(from))
        NoteJump(target);
    });
  }
  const GateSequence* Around(uint64_t target) const {
    for (const auto& [write, sequence] : sequences_) {
      // The closing's own jump over its trap leads to the sequence's end, which is not inside.
      if (target > sequence.begin && target < sequence.end) return &sequence;
    }
    return nullptr;
  }
  void NoteJump(uint64_t target) {
    if (const GateSequence* around = Around(target))
      Object({around->write, "a jump leads into the middle of its sequence"});
  }

  // Wherever a call, jump or branch with a 32-bit distance may stand (bytes alone: more than there are).
  template <typename Visitor>
  void ForEachDistance(Visitor visit) {
    for (const ElfCode::Section& section : elf_.code()) {
      for (size_t i = 0; i + 5 <= section.bytes.size(); ++i) {
        const uint8_t* const at = section.bytes.data() + i;
        const bool near = at[0] == 0xE8 || at[0] == 0xE9;
        const bool branch = at[0] == 0x0F && (at[1] & 0xF0) == 0x80 && i + 6 <= section.bytes.size();
        if (!near && !branch) continue;
        int32_t distance;
        memcpy(&distance, at + (near ? 1 : 2), 4);
        const uint64_t from = section.address + i;
        visit(from, from + (near ? 5 : 6) + static_cast<uint64_t>(int64_t{distance}));
      }
    }
  }

  void Object(const PathFinding& finding) {
    const auto at = items_.find(finding.address);
    if (at == items_.end()) {
      Add(finding.address, "path", AuditItem::Verdict::kViolation, finding.reason);
    } else if (at->second.verdict == AuditItem::Verdict::kOpens || at->second.verdict == AuditItem::Verdict::kCloses) {
      Add(finding.address, at->second.instruction, AuditItem::Verdict::kViolation, finding.reason);
    }
  }

  const ElfCode& elf_;
  MachineCode code_;
  WindowPaths paths_;
  SourceLines lines_;
  const std::vector<std::string>& allowed_;
  const bool a_library_;
  AuditReport report_;
  std::map<uint64_t, AuditItem> items_;
  std::map<uint64_t, GateSequence> sequences_;  // by the address of the WRPKRU
  std::set<uint64_t> followed_;
};

}  // namespace

const char* VerdictName(AuditItem::Verdict verdict) {
  switch (verdict) {
    case AuditItem::Verdict::kOpens:
      return "opens";
    case AuditItem::Verdict::kCloses:
      return "closes";
    case AuditItem::Verdict::kAllowed:
      return "allowed";
    case AuditItem::Verdict::kWarning:
      return "warning";
    case AuditItem::Verdict::kViolation:
      return "violation";
  }
  return "?";
}

uint64_t AuditReport::Count(AuditItem::Verdict verdict) const {
  return static_cast<uint64_t>(
      std::count_if(items.begin(), items.end(), [=](const AuditItem& item) { return item.verdict == verdict; }));
}

std::optional<AuditReport> AuditFile(const std::string& file, const std::vector<std::string>& allowed,
                                     std::string* error, bool a_library) {
  const std::optional<ElfCode> elf = ElfCode::Load(file, error);
  if (!elf) return std::nullopt;
  return Audit(file, *elf, allowed, a_library).Run();
}

nlohmann::ordered_json AuditToJson(const AuditReport& report) {
  nlohmann::ordered_json json = {{"file", report.file},
                                 {"well", report.well()},
                                 {"code_bytes", report.code_bytes},
                                 {"functions", report.functions},
                                 {"followed", report.followed},
                                 {"opens", report.Count(AuditItem::Verdict::kOpens)},
                                 {"closes", report.Count(AuditItem::Verdict::kCloses)},
                                 {"allowed", report.Count(AuditItem::Verdict::kAllowed)},
                                 {"warnings", report.Count(AuditItem::Verdict::kWarning)},
                                 {"violations", report.Count(AuditItem::Verdict::kViolation)}};
  json["items"] = nlohmann::ordered_json::array();
  for (const AuditItem& item : report.items) {
    json["items"].push_back({{"address", item.address},
                             {"instruction", item.instruction},
                             {"function", item.function},
                             {"source", item.source},
                             {"verdict", VerdictName(item.verdict)},
                             {"reason", item.reason}});
  }
  return json;
}

}  // namespace lightning::faults
