#include "store/gate/audit.h"

#include <sys/mman.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>

#include "store/gate/breach.h"
#include "store/gate/process_maps.h"

namespace lightning {
namespace {

using Mappings = Gate::Mappings;
using Range = Gate::Mappings::Range;

class Auditor {
 public:
  Auditor(const std::vector<Mappings>& gates, const std::vector<MapsEntry>& entries, bool details)
      : gates_(gates), entries_(entries), details_(details) {}

  std::vector<Finding> Look(const Mappings& gate) {
    findings_.clear();
    LookAtGuard({gate.reserved.begin, gate.control.begin});
    LookAtGuard({gate.control.end, gate.reserved.end});
    LookAtControl(gate);
    if (gate.mode == Isolation::kNone) return std::move(findings_);
    for (const Range& exposed : gate.exposed) {
      LookAtGuard({exposed.begin - Gate::kExposedGuard, exposed.begin});
      LookAtGuard({exposed.end, exposed.end + Gate::kExposedGuard});
    }
    LookAtView(gate);
    LookForAliases(gate);
    if (details_ && gate.mode == Isolation::kKeys) LookAtKey(gate);
    return std::move(findings_);
  }

 private:
  void Add(Breach breach, uint64_t begin, uint64_t end) {
    char place[64];
    snprintf(place, sizeof place, "%" PRIx64 "-%" PRIx64 ": ", begin, end);
    findings_.push_back({breach, begin, end, std::string(BreachName(breach)) + " at " + place + BreachMessage(breach)});
  }

  // Calls `use` for each entry's part of the range, and for the holes with null.
  template <typename Use>
  void ForParts(const Range& range, Use use) {
    uint64_t at = range.begin;
    for (const MapsEntry& entry : entries_) {
      if (entry.end <= at || entry.begin >= range.end) continue;
      if (entry.begin > at) use(nullptr, at, entry.begin);
      const uint64_t end = std::min(entry.end, range.end);
      use(&entry, std::max(entry.begin, at), end);
      at = end;
    }
    if (at < range.end) use(nullptr, at, range.end);
  }

  void LookAtGuard(const Range& guard) {
    ForParts(guard, [&](const MapsEntry* entry, uint64_t begin, uint64_t end) {
      if (entry == nullptr || entry->readable || entry->writable || entry->executable) Add(Breach::kGuard, begin, end);
    });
  }

  // Whether `entry` shows the segment of `gate`, at the place in the file where it has to be.
  bool Shows(const MapsEntry& entry, uint64_t begin, const Range& whole) const {
    return entry.shared && entry.device == device_ && entry.inode == inode_ &&
           entry.offset + (begin - entry.begin) == begin - whole.begin;
  }

  void LookAtControl(const Mappings& gate) {
    Identify(gate);
    ForParts(gate.control, [&](const MapsEntry* entry, uint64_t begin, uint64_t end) {
      if (entry == nullptr || !Shows(*entry, begin, gate.control)) return Add(Breach::kMissing, begin, end);
      const bool writable = gate.mode != Isolation::kMprotect;
      // A page that a window of another thread has open.
      const bool excused = gate.mode == Isolation::kMprotect && WindowMayBeOpen(gate);
      if (details_ && gate.mode == Isolation::kKeys && entry->key != gate.key) {
        Add(Breach::kLostKey, begin, end);
      } else if (!entry->readable || (entry->writable != writable && !excused) || entry->executable) {
        Add(Breach::kPermissions, begin, end);
      }
      if (details_ && gate.mode != Isolation::kNone && !entry->not_inherited) Add(Breach::kInherited, begin, end);
    });
  }

  void LookAtView(const Mappings& gate) {
    ForParts(gate.view, [&](const MapsEntry* entry, uint64_t begin, uint64_t end) {
      if (entry == nullptr || !Shows(*entry, begin, gate.view)) return Add(Breach::kMissing, begin, end);
      if (!entry->readable || entry->writable || entry->executable) Add(Breach::kPermissions, begin, end);
    });
  }

  // Which file it is: what most of the view shows. (The numbers of stat differ from these on some file systems.)
  void Identify(const Mappings& gate) {
    device_ = inode_ = 0;
    uint64_t most = 0;
    for (const Range& range : {gate.view, gate.control}) {
      ForParts(range, [&](const MapsEntry* entry, uint64_t begin, uint64_t end) {
        if (entry == nullptr || entry->inode == 0 || end - begin <= most) return;
        most = end - begin;
        device_ = entry->device;
        inode_ = entry->inode;
      });
    }
  }

  void LookForAliases(const Mappings& gate) {
    for (const MapsEntry& entry : entries_) {
      if (!entry.writable || !entry.shared || entry.device != device_ || entry.inode != inode_ || inode_ == 0) continue;
      if (Contains(gate.view, entry)) continue;  // a finding already
      const bool ours = std::any_of(gates_.begin(), gates_.end(), [&](const Mappings& other) {
        const auto contains = [&](const Range& range) { return Contains(range, entry); };
        return contains(other.reserved) || std::any_of(other.exposed.begin(), other.exposed.end(), contains) ||
               std::any_of(other.moving.begin(), other.moving.end(), contains);
      });
      if (!ours) Add(Breach::kAlias, entry.begin, entry.end);
    }
  }
  static bool Contains(const Range& range, const MapsEntry& entry) { return range.Contains(entry.begin, entry.end); }

  void LookAtKey(const Mappings& gate) {
    // Nobody can tag a page with a key that is not allocated.
    void* page = mmap(nullptr, kPageSize, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page != MAP_FAILED) {
      if (pkey_mprotect(page, kPageSize, PROT_NONE, gate.key) != 0)
        Add(Breach::kLostKey, gate.control.begin, gate.control.end);
      munmap(page, kPageSize);
    }
    if ((pkru::Read() >> (2 * gate.key) & 1) == 0 && open_windows == 0)
      Add(Breach::kOpenRights, gate.control.begin, gate.control.end);
  }

  static bool WindowMayBeOpen(const Mappings& gate) {
    return gate.windows % 2 != 0 || gate.gate->windows().load(std::memory_order_relaxed) != gate.windows;
  }

  const std::vector<Mappings>& gates_;
  const std::vector<MapsEntry>& entries_;
  const bool details_;
  uint64_t device_ = 0, inode_ = 0;
  std::vector<Finding> findings_;
};

// One look at `only`, or at all gates when it is null.
std::vector<Finding> LookOnce(const Gate* only, bool details, size_t* clients) {
  std::vector<Finding> all;
  Gate::WithAll([&](const std::vector<Mappings>& gates) {
    const std::vector<MapsEntry> entries = ReadProcessMaps(details);
    *clients = 0;
    if (entries.empty()) return;  // no /proc: nothing can be said
    Auditor auditor(gates, entries, details);
    for (const Mappings& gate : gates) {
      if (!gate.complete || (only != nullptr && gate.gate != only)) continue;
      ++*clients;
      for (Finding& finding : auditor.Look(gate)) {
        const bool known = std::any_of(all.begin(), all.end(), [&](const Finding& other) {
          return other.breach == finding.breach && other.begin == finding.begin;
        });
        if (!known) all.push_back(std::move(finding));
      }
    }
  });
  return all;
}

// The kernel does not show all mappings as they are at one moment: what is wrong is so at a second look, too.
std::vector<Finding> LookTwice(const Gate* only, bool details, size_t* clients) {
  std::vector<Finding> findings = LookOnce(only, details, clients);
  if (findings.empty()) return findings;
  const std::vector<Finding> again = LookOnce(only, details, clients);
  std::erase_if(findings, [&](const Finding& finding) {
    return std::none_of(again.begin(), again.end(), [&](const Finding& other) {
      return other.breach == finding.breach && other.begin == finding.begin;
    });
  });
  return findings;
}

}  // namespace

AuditReport Audit() {
  AuditReport report;
  report.findings = LookTwice(nullptr, /*details=*/true, &report.clients);
  return report;
}

Status AuditAtAttach(const Gate& gate) {
  if (gate.mode() == Isolation::kNone) return {};
  size_t clients = 0;
  // All clients of a process have one key: where another had it before, it may have been lost since.
  bool shared = false;
  if (gate.mode() == Isolation::kKeys) {
    Gate::WithAll([&](const std::vector<Mappings>& gates) {
      shared = std::any_of(gates.begin(), gates.end(), [&](const Mappings& other) {
        return other.complete && other.gate != &gate && other.mode == Isolation::kKeys;
      });
    });
  }
  Status status;
  for (const Finding& finding : LookTwice(shared ? nullptr : &gate, /*details=*/shared, &clients)) {
    status = ReportBreach(finding.breach, finding.message.c_str());
  }
  return status;
}

}  // namespace lightning
