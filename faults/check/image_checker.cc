#include "faults/check/image_checker.h"

#include <fmt/format.h>

#include <algorithm>

#include "faults/check/guarded.h"
#include "store/client/check.h"
#include "store/client/core.h"
#include "store/log/words.h"

namespace lightning::faults {
namespace {

constexpr unsigned kPatience = 20;  // seconds; a check takes well under a millisecond

std::string Failed(const char* what, const Status& status) {
  return fmt::format("{} failed: {}", what, status.ToString());
}

std::string Joined(const std::vector<std::string>& lines) {
  std::string all;
  for (const std::string& line : lines) all += (all.empty() ? "" : "; ") + line;
  return all;
}

uint64_t BytesOf(std::string_view key, const SeenObject& object, bool whole_pages) {
  Item item;
  item.size = object.value.size();
  item.metadata_size = static_cast<uint32_t>(object.metadata.size());
  item.whole_pages = whole_pages;
  return HeapBytes(key, item);
}

}  // namespace

ImageChecker::ImageChecker(const StepPlan& plan, const Geometry& geometry, JudgeOptions options)
    : plan_(plan),
      options_(std::move(options)),
      copy_(std::make_unique<MemorySegment>(geometry)),
      geometry_(geometry) {}

void ImageChecker::Load(const std::byte* image) {
  copy_->Load(image);
  // Everyone is dead but the bystander; whoever attaches from here on is alive.
  for (size_t slot = 0; slot < copy_->world()->dead.size(); ++slot)
    copy_->world()->dead[slot] = slot != options_.bystander;
}

CheckReport ImageChecker::CheckCopy() {
  return CheckSegment(copy_->segment(), [this](SlotIndex slot) { return !copy_->world()->dead[slot]; });
}

std::string ImageChecker::Begin(const std::byte* image) {
  return Guarded(kPatience, [&]() -> std::string {
    Load(image);
    Result<Client> client = copy_->Attach();
    if (!client.ok()) return Failed("attaching to the copy", client.status());
    const Result<RecoveryReport> report = client->Recover();
    if (!report.ok()) return Failed("Recover", report.status());
    std::string error = Observe(*client, &baseline_.content);
    if (!error.empty()) return error;
    baseline_.event_head = copy_->segment().central().event_head.Load();
    std::string difference;
    // After a death inside another operation, either outcome of that is a fair beginning.
    if (FindContent(baseline_.content, plan_.allowed, &difference) < 0) return "before the operation: " + difference;
    return "";
  });
}

std::string ImageChecker::Check(const std::byte* image, bool thorough) {
  std::string error = Guarded(kPatience, [&] { return Recovered(image); });
  if (!error.empty() || !thorough) return error;
  error = Guarded(kPatience, [&] { return WriteFirst(image); });
  if (!error.empty()) return "when a survivor writes first: " + error;
  error = Guarded(kPatience, [&] { return StoppedVictim(image); });
  if (!error.empty()) return "when the client is stopped, not dead: " + error;
  return "";
}

std::string ImageChecker::CheckEnd(const std::byte* image) {
  return Guarded(kPatience, [&]() -> std::string {
    Load(image);
    Result<Client> client = copy_->Attach();
    if (!client.ok()) return Failed("attaching to the copy", client.status());
    if (const Result<RecoveryReport> report = client->Recover(); !report.ok())
      return Failed("Recover", report.status());
    SeenContent seen;
    std::string difference = Observe(*client, &seen);
    if (!difference.empty()) return difference;
    const int found = FindContent(seen, plan_.allowed, &difference);
    if (found < 0) return "after the operation: " + difference;
    // One that may stop half way (evictions) has gone at least one step; any other has gone all the way.
    const bool stays = plan_.allowed.size() == 1 || plan_.kind == StepKind::kRecover;
    if (found == 0 && !stays) return "the operation said that it went well, and nothing has happened";
    for (const NamedItem& object : plan_.objects) {
      const bool there = seen.contains(object.key);
      const bool should = plan_.kind != StepKind::kDelete && plan_.kind != StepKind::kCreateAbort;
      if (there != should) return fmt::format("the operation went well, but {} is wrong", ShowKey(object.key));
    }
    return "";
  });
}

// Reads before anything is recovered: what a reader saw must not be taken back by a recovery that comes later.
std::string ImageChecker::EarlyReads(Client& client, SeenContent* reads) {
  for (const std::string& key : plan_.touched) {
    const Result<Handle> handle = client.Get(key);
    if (handle.code() == Code::kNotFound) continue;
    if (!handle.ok()) return Failed(("reading " + ShowKey(key)).c_str(), handle.status());
    SeenObject& seen = (*reads)[key];
    seen.version = handle->version();
    seen.value = std::string(handle->view());
  }
  return "";
}

std::string ImageChecker::Recovered(const std::byte* image) {
  Load(image);
  Result<Client> attached = copy_->Attach();
  if (!attached.ok()) return Failed("attaching after the death", attached.status());
  Client client = std::move(*attached);
  SeenContent early, seen;
  std::string error = EarlyReads(client, &early);
  if (!error.empty()) return error;
  const Result<RecoveryReport> report = client.Recover();
  if (!report.ok()) return Failed("Recover", report.status());
  error = Observe(client, &seen);
  if (!error.empty()) return error;
  for (const std::string& key : plan_.touched) {
    const auto then = early.find(key), now = seen.find(key);
    if ((then == early.end()) != (now == seen.end()) ||
        (then != early.end() &&
         (then->second.version != now->second.version || then->second.value != now->second.value)))
      return fmt::format("a reader saw another {} than the recovery then left: a dirty read", ShowKey(key));
  }
  error = JudgeContent(client, copy_->segment());
  if (!error.empty()) return error;
  error = SurvivorsGoOn(client, seen);
  if (!error.empty()) return "survivors: " + error;
  return Empty(std::move(client));
}

std::string ImageChecker::JudgeContent(Client& client, const Segment& segment) {
  SeenContent seen;
  std::string difference = Observe(client, &seen);
  if (!difference.empty()) return difference;
  const int found = FindContent(seen, plan_.allowed, &difference);
  if (found < 0) return "neither before nor after the operation: " + difference;
  std::string error = JudgeVersions(seen);
  if (!error.empty()) return error;
  if (plan_.events >= 0) {
    const uint64_t events = segment.central().event_head.Load() - baseline_.event_head;
    const uint64_t expected = found == 0 ? 0 : static_cast<uint64_t>(plan_.events);
    if (events != expected) return fmt::format("{} events instead of {}", events, expected);
  }
  const CheckReport report = client.Check();
  if (!report.ok) return "Check: " + (report.busy ? "busy" : Joined(report.violations));
  return JudgeAccounts(client, seen, PinnedRetired(seen));
}

// Bytes of what the bystander pins and what is no longer under its key.
uint64_t ImageChecker::PinnedRetired(const SeenContent& seen) const {
  uint64_t bytes = 0;
  for (const PinnedObject& pinned : options_.pinned) {
    const auto now = seen.find(pinned.key);
    if (now == seen.end() || now->second.version != pinned.version) bytes += pinned.bytes;
  }
  return bytes;
}

std::string ImageChecker::JudgeAccounts(Client& client, const SeenContent& seen, uint64_t retired) {
  const Result<Stats> stats = client.GetStats();
  if (!stats.ok()) return Failed("GetStats", stats.status());
  uint64_t used = 0;
  for (const auto& [key, object] : seen) {
    bool whole_pages = false;
    for (const NamedItem& made : plan_.objects) whole_pages |= made.key == key && made.item.whole_pages;
    used += BytesOf(key, object, whole_pages);
  }
  if (stats->objects != seen.size())
    return fmt::format("the store counts {} objects, there are {}", stats->objects, seen.size());
  if (stats->bytes_retired != retired)
    return fmt::format("{} bytes are retired, readers pin {}", stats->bytes_retired, retired);
  if (stats->bytes_used != used) return fmt::format("{} bytes are used instead of {}", stats->bytes_used, used);
  if (stats->bytes_free != stats->bytes_total - used - retired)
    return fmt::format("{} bytes are free instead of {}", stats->bytes_free, stats->bytes_total - used - retired);
  return "";
}

std::string ImageChecker::JudgeVersions(const SeenContent& seen) const {
  for (const auto& [key, object] : seen) {
    if (object.version == 0) return fmt::format("{} has no version", ShowKey(key));
    const auto before = baseline_.content.find(key);
    if (before == baseline_.content.end()) continue;
    const bool same = before->second.value == object.value && before->second.metadata == object.metadata;
    if (same ? object.version != before->second.version : object.version <= before->second.version)
      return fmt::format("{} went from version {} to {}", ShowKey(key), before->second.version, object.version);
  }
  return "";
}

std::string ImageChecker::SurvivorsGoOn(Client& client, const SeenContent& seen) {
  const std::string value = Pattern(100, 7);
  const Result<uint64_t> put = client.Put("survivor", value);
  if (!put.ok()) return Failed("Put", put.status());
  {
    const Result<Handle> handle = client.Get("survivor");
    if (!handle.ok()) return Failed("Get", handle.status());
    if (handle->view() != value) return "Get gave other bytes than Put took";
  }
  Status status = client.Delete("survivor");
  if (!status.ok()) return Failed("Delete", status);
  for (const auto& [key, object] : seen) {
    status = client.Delete(key);
    // A put into a full segment may have evicted it.
    const bool evicted = status.code() == Code::kNotFound && plan_.options.eviction == Eviction::kLru;
    if (!status.ok() && !evicted) return Failed(("deleting " + ShowKey(key)).c_str(), status);
  }
  return "";
}

// Once nobody is there and everything is deleted, nothing may be missing.
std::string ImageChecker::Empty(Client client) {
  copy_->world()->dead[options_.bystander] = true;
  const Result<RecoveryReport> report = client.Recover();
  if (!report.ok()) return Failed("the last Recover", report.status());
  client.Close();
  const CheckReport check = CheckCopy();
  if (!check.ok) return "Check of the empty segment: " + Joined(check.violations);
  const Segment& segment = copy_->segment();
  const Central& central = segment.central();
  const Geometry& g = segment.geometry();
  if (central.credits.Load() != g.max_objects)
    return fmt::format("{} of {} objects are gone for ever", g.max_objects - central.credits.Load(), g.max_objects);
  if (central.free_granules.Load() != g.heap_granules)
    return fmt::format("{} bytes are gone for ever", (g.heap_granules - central.free_granules.Load()) * kGranule);
  if (central.object_free_count.Load() != g.objects)
    return fmt::format("{} object ids are gone for ever", g.objects - central.object_free_count.Load());
  if (central.subscribers.Load() != 0) return "the store counts subscribers, and there is nobody";
  for (SlotIndex slot = 0; slot < g.max_clients; ++slot) {
    if (SlotState::Decode(segment.slot(slot).state.Load()).life != SlotLife::kFree)
      return fmt::format("client slot {} is not free", slot);
  }
  return "";
}

std::string ImageChecker::WriteFirst(const std::byte* image) {
  Load(image);
  Result<Client> client = copy_->Attach();
  if (!client.ok()) return Failed("attaching after the death", client.status());
  if (plan_.touched.empty()) return "";
  const std::string& key = plan_.touched[0];
  const Item mine{0xABCD, 100, 0, false};
  const Result<uint64_t> put = client->Put(key, Pattern(mine.size, mine.tag));
  if (!put.ok()) return Failed("Put", put.status());
  // What the dead had retired comes back with its slot, unless a living reader pins it.
  const Segment& segment = copy_->segment();
  bool healed = true;
  for (SlotIndex slot = 0; slot < geometry_.max_clients; ++slot)
    healed &= SlotState::Decode(segment.slot(slot).state.Load()).life == SlotLife::kFree || !copy_->world()->dead[slot];
  uint64_t pinned = 0;
  for (const PinnedObject& its : options_.pinned) {
    if (std::find(plan_.touched.begin(), plan_.touched.end(), its.key) != plan_.touched.end()) pinned += its.bytes;
  }
  if (healed && segment.central().orphan_bytes.Load() > pinned)
    return fmt::format("{} bytes stay with the dead, though living readers pin no more than {}",
                       segment.central().orphan_bytes.Load(), pinned);
  if (const Result<RecoveryReport> report = client->Recover(); !report.ok()) return Failed("Recover", report.status());
  SeenContent seen;
  std::string difference = Observe(*client, &seen);
  if (!difference.empty()) return difference;
  // The put may itself have evicted.
  if (plan_.options.eviction == Eviction::kLru) return Difference(key, seen[key], mine);
  std::vector<Content> allowed = plan_.allowed;
  for (Content& content : allowed) content[key] = mine;
  if (FindContent(seen, allowed, &difference) < 0) return difference;
  const CheckReport report = CheckCopy();
  return report.ok ? "" : "Check: " + Joined(report.violations);
}

std::string ImageChecker::StoppedVictim(const std::byte* image) {
  Load(image);
  // All alive, but for one who was killed before the operation began.
  for (size_t slot = 0; slot < copy_->world()->dead.size(); ++slot) copy_->world()->dead[slot] = false;
  if (!plan_.dead_operation.empty()) return "";  // whose slot is not known here
  Result<Client> attached = copy_->Attach();
  if (!attached.ok()) return Failed("attaching beside a stopped client", attached.status());
  for (const std::string& key : plan_.touched) {
    const Result<Handle> handle = attached->Get(key);
    if (handle.code() == Code::kTimeout) continue;
    bool allowed = false;
    for (const Content& content : plan_.allowed) {
      const auto at = content.find(key);
      if (at == content.end()) {
        allowed |= handle.code() == Code::kNotFound;
      } else if (handle.ok()) {
        allowed |= handle->size() == at->second.size && MatchesPattern(handle->bytes(), at->second.tag);
      }
    }
    if (!allowed) return fmt::format("a reader of {} got what never was", ShowKey(key));
  }
  return "";
}

}  // namespace lightning::faults
