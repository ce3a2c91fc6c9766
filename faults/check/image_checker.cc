#include "faults/check/image_checker.h"

#include <fmt/format.h>

#include <algorithm>

#include "faults/check/guarded.h"
#include "store/client/check.h"
#include "store/client/core.h"
#include "store/log/words.h"

namespace lightning::faults {
namespace {

constexpr unsigned kCheckPatience = 20;  // seconds; a check takes well under a millisecond

std::string Joined(const std::vector<std::string>& lines) {
  std::string all;
  for (const std::string& line : lines) all += (all.empty() ? "" : "; ") + line;
  return all;
}

}  // namespace

ImageChecker::ImageChecker(const Geometry& geometry, JudgeOptions options)
    : options_(std::move(options)), copy_(std::make_unique<MemorySegment>(geometry)), geometry_(geometry) {}

bool ImageChecker::IsReserved(const std::string& key) const {
  return std::any_of(options_.reserved.begin(), options_.reserved.end(),
                     [&](const NamedItem& item) { return item.key == key; });
}

void ImageChecker::Load(const std::byte* image) {
  copy_->Load(image);
  // Everyone is dead but the bystanders; whoever attaches from here on is alive.
  copy_->world()->dead.assign(copy_->world()->dead.size(), true);
  for (const SlotIndex slot : options_.alive) copy_->world()->dead[slot] = false;
}

CheckReport ImageChecker::CheckCopy() {
  return CheckSegment(copy_->segment(), [this](SlotIndex slot) { return !copy_->world()->dead[slot]; });
}

std::string ImageChecker::Begin(const std::byte* image, Expectation expectation) {
  expectation_ = std::move(expectation);
  allowed_.clear();
  for (const Possible& possible : expectation_.allowed) allowed_.push_back(possible.content);
  return Guarded(kCheckPatience, [&]() -> std::string {
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
    const int before = FindContent(baseline_.content, allowed_, &difference);
    if (before < 0) return "before the operation: " + difference;
    NameOutcomes(allowed_[static_cast<size_t>(before)]);
    return "";
  });
}

void ImageChecker::NameOutcomes(const Content& before) {
  outcomes_.assign(allowed_.size(), PointOutcome::kBetween);
  for (size_t i = 0; i < allowed_.size(); ++i) {
    const bool after = std::any_of(expectation_.endings.begin(), expectation_.endings.end(),
                                   [&](const Ending& ending) { return ending.content == allowed_[i]; });
    if (after) outcomes_[i] = PointOutcome::kAfter;
    if (allowed_[i] == before) outcomes_[i] = PointOutcome::kBefore;
  }
}

std::string ImageChecker::Check(const std::byte* image, bool thorough) {
  std::string error = Guarded(kCheckPatience, [&] { return Recovered(image); });
  if (!error.empty() || !thorough) return error;
  error = Guarded(kCheckPatience, [&] { return WriteFirst(image); });
  if (!error.empty()) return "when a survivor writes first: " + error;
  error = Guarded(kCheckPatience, [&] { return StoppedVictim(image); });
  if (!error.empty()) return "when the client is stopped, not dead: " + error;
  return "";
}

std::string ImageChecker::CheckEnd(const std::byte* image, Code code, Content* content) {
  return Guarded(kCheckPatience, [&]() -> std::string {
    Load(image);
    Result<Client> client = copy_->Attach();
    if (!client.ok()) return Failed("attaching to the copy", client.status());
    if (const Result<RecoveryReport> report = client->Recover(); !report.ok())
      return Failed("Recover", report.status());
    SeenContent seen;
    std::string difference = Observe(*client, &seen);
    if (!difference.empty()) return difference;
    bool may_answer = false;
    for (const Ending& ending : expectation_.endings) {
      if (ending.code != code) continue;
      may_answer = true;
      difference = Difference(seen, ending.content);
      if (!difference.empty()) continue;
      *content = ending.content;
      return "";
    }
    if (may_answer) return fmt::format("after the operation, which answered {}: {}", CodeName(code), difference);
    return fmt::format("the operation answered {}; the model expects {}", CodeName(code),
                       expectation_.endings.empty() ? "nothing" : CodeName(expectation_.endings[0].code));
  });
}

// Reads before anything is recovered: what a reader saw must not be taken back by a recovery that comes later.
std::string ImageChecker::EarlyReads(Client& client, SeenContent* reads) {
  for (const std::string& key : expectation_.touched) {
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
  for (const std::string& key : expectation_.touched) {
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
  const int found = FindContent(seen, allowed_, &difference);
  if (found < 0) return "neither before nor after the operation: " + difference;
  outcome_ = outcomes_[static_cast<size_t>(found)];
  std::string error = JudgeVersions(seen);
  if (!error.empty()) return error;
  const Possible& possible = expectation_.allowed[static_cast<size_t>(found)];
  if (possible.events >= 0) {
    const uint64_t events = segment.central().event_head.Load() - baseline_.event_head;
    const auto expected = static_cast<uint64_t>(possible.events);
    if (events != expected) return fmt::format("{} events instead of {}", events, expected);
  }
  const CheckReport report = client.Check();
  if (!report.ok) return "Check: " + (report.busy ? "busy" : Joined(report.violations));
  return JudgeAccounts(client, possible.content, PinnedRetired(seen));
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

std::string ImageChecker::JudgeAccounts(Client& client, const Content& content, uint64_t retired) {
  const Result<Stats> stats = client.GetStats();
  if (!stats.ok()) return Failed("GetStats", stats.status());
  uint64_t used = HeapBytes(content);
  for (const auto& [key, item] : options_.reserved) used += HeapBytes(key, item);
  const uint64_t objects = content.size() + options_.reserved.size();
  if (stats->objects != objects)
    return fmt::format("the store counts {} objects, there are {}", stats->objects, objects);
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

std::string ImageChecker::PutGetDelete(Client& client, bool may_be_full) {
  const std::string value = Pattern(100, 7);
  const Result<uint64_t> put = client.Put("survivor", value);
  if (!put.ok()) return may_be_full && IsFull(put.code()) ? "" : Failed("Put", put.status());
  {
    const Result<Handle> handle = client.Get("survivor");
    if (!handle.ok()) return Failed("Get", handle.status());
    if (handle->view() != value) return "Get gave other bytes than Put took";
  }
  const Status status = client.Delete("survivor");
  return status.ok() ? "" : Failed("Delete", status);
}

std::string ImageChecker::SurvivorsGoOn(Client& client, const SeenContent& seen) {
  std::string error = PutGetDelete(client, /*may_be_full=*/true);
  if (!error.empty()) return error;
  Status status;
  for (const auto& [key, object] : seen) {
    status = client.Delete(key);
    // A put into a full segment may have evicted it.
    const bool evicted = status.code() == Code::kNotFound && options_.evicts;
    if (!status.ok() && !evicted) return Failed(("deleting " + ShowKey(key)).c_str(), status);
  }
  return PutGetDelete(client, /*may_be_full=*/false);
}

// Once nobody is there and everything is deleted, nothing may be missing.
std::string ImageChecker::Empty(Client client) {
  for (const SlotIndex slot : options_.alive) copy_->world()->dead[slot] = true;
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
  if (expectation_.touched.empty() || IsReserved(expectation_.touched[0])) return "";
  const std::string& key = expectation_.touched[0];
  const Item mine{0xABCD, 100, 0, false};
  const Result<uint64_t> put = client->Put(key, Pattern(mine.size, mine.tag));
  if (IsFull(put.code())) return "";
  if (!put.ok()) return Failed("Put", put.status());
  // What the dead had retired comes back with its slot, unless a living reader pins it. (What it pinned of one who died
  // before it may stay until the next Recover.)
  const Segment& segment = copy_->segment();
  bool healed = !options_.somebody_died;
  for (SlotIndex slot = 0; slot < geometry_.max_clients; ++slot)
    healed &= SlotState::Decode(segment.slot(slot).state.Load()).life == SlotLife::kFree || !copy_->world()->dead[slot];
  uint64_t pinned = 0;
  for (const PinnedObject& its : options_.pinned) {
    const auto before = baseline_.content.find(its.key);
    const bool current = before != baseline_.content.end() && before->second.version == its.version;
    const auto& touched = expectation_.touched;
    if (!current || std::find(touched.begin(), touched.end(), its.key) != touched.end()) pinned += its.bytes;
  }
  if (healed && segment.central().orphan_bytes.Load() > pinned)
    return fmt::format("{} bytes stay with the dead, though living readers pin no more than {}",
                       segment.central().orphan_bytes.Load(), pinned);
  if (const Result<RecoveryReport> report = client->Recover(); !report.ok()) return Failed("Recover", report.status());
  SeenContent seen;
  std::string difference = Observe(*client, &seen);
  if (!difference.empty()) return difference;
  // The put may itself have evicted.
  if (options_.evicts) return Difference(key, seen[key], mine);
  std::vector<Content> allowed = allowed_;
  for (Content& content : allowed) content[key] = mine;
  if (FindContent(seen, allowed, &difference) < 0) return difference;
  const CheckReport report = CheckCopy();
  return report.ok ? "" : "Check: " + Joined(report.violations);
}

std::string ImageChecker::StoppedVictim(const std::byte* image) {
  Load(image);
  // All alive, but for one who was killed before the operation began.
  for (size_t slot = 0; slot < copy_->world()->dead.size(); ++slot) copy_->world()->dead[slot] = false;
  if (options_.somebody_died) return "";  // whose slot is not known here
  Result<Client> attached = copy_->Attach();
  if (!attached.ok()) return Failed("attaching beside a stopped client", attached.status());
  for (const std::string& key : expectation_.touched) {
    const Result<Handle> handle = attached->Get(key);
    if (handle.code() == Code::kTimeout) continue;
    bool allowed = false;
    for (const Content& content : allowed_) {
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
