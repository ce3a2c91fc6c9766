#include "faults/sim/crash_judge.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "faults/check/guarded.h"
#include "faults/check/observe.h"
#include "faults/report/progress.h"
#include "faults/sim/accounts.h"

namespace lightning::faults {
namespace {

constexpr unsigned kJudgePatience = 60;  // seconds; a check takes well under a millisecond

// No key of a plan is this long.
constexpr const char* kSurvivorsKey =
    "the survivors' own key, which no plan has: it is longer than any of theirs ......";

}  // namespace

std::string CrashJudge::Check(CrashImage& image, const Record& record) {
  const Clock::time_point begin = Clock::now();
  image_ = &image;
  record_ = &record;
  for (auto* each : {found_, early_}) {
    for (uint32_t level = 0; level <= std::min(depth_, kLevels - 1); ++level)
      each[level].resize(record.catalogue().keys());
  }
  level_ = 0;
  nested_error_.clear();
  SetSharedMemoryHooks(this, nullptr);
  const uint64_t choice = image.hash() >> 7;
  std::string error = Heal(0, choice);
  SetSharedMemoryHooks(nullptr, nullptr);
  if (error.empty()) error = nested_error_;
  counts_.seconds += SecondsSince(begin);
  return error;
}

std::string CrashJudge::Heal(uint32_t level, uint64_t choice) {
  ++counts_.distinct;
  ++counts_.by_depth[level];
  GuardedGoesOn(kJudgePatience);
  World& world = *image_->memory().world();
  const World before = world;
  world.dead.assign(world.dead.size(), true);
  const CrashImage::Mark mark = image_->SetMark();
  std::string error;
  {
    Allocations mine;  // in the end what is left of a client that met an error, whose destructor must not run
    const AllocationScope scope(&mine);
    SetStepping(level < depth_ && choice % nested_share_ == 0);
    auto* const client = new Result<Client>(image_->memory().Attach());
    std::string found = client->ok() ? HealAndJudge(**client, choice) : Failed("attaching", client->status());
    if (found.empty()) {
      delete client;
      FinishPayload();
      found = JudgeAccounts(image_->segment());
    }
    SetStepping(false);
    const AllocationScope none(nullptr);
    error.assign(found.data(), found.size());
  }
  FinishPayload();
  image_->RollBack(mark);
  world = before;
  return error;
}

std::string CrashJudge::Find(Client& client, std::vector<const KnownItem*>* found) {
  const Catalogue& catalogue = record_->catalogue();
  for (uint32_t key = 0; key < catalogue.keys(); ++key) {
    const Result<Handle> handle = client.Get(catalogue.name(key));
    (*found)[key] = nullptr;
    if (handle.code() == Code::kNotFound) continue;
    if (!handle.ok()) return Failed(("reading " + ShowKey(catalogue.name(key))).c_str(), handle.status());
    (*found)[key] = catalogue.Recognise(key, handle->bytes(), handle->metadata());
    if ((*found)[key] == nullptr) return fmt::format("{} has bytes that nobody ever put", ShowKey(catalogue.name(key)));
  }
  return "";
}

std::string CrashJudge::HealAndJudge(Client& client, uint64_t choice) {
  std::vector<const KnownItem*>&found = found_[level_], &earlier = early_[level_];
  std::string error;
  // What a reader sees before anybody recovers must not be taken back by the recovery that comes later.
  const bool early = choice % 3 == 1;
  if (early) error = Find(client, &earlier);
  if (!error.empty()) return "before recovery, " + error;
  const bool first = choice % 3 == 2;
  if (first) error = SurvivorsGoOn(client);
  if (!error.empty()) return "a survivor that writes before recovery: " + error;
  const Result<RecoveryReport> report = client.Recover();
  SetStepping(false);
  if (!report.ok()) return Failed("Recover", report.status());
  error = Find(client, &found);
  if (!error.empty()) return error;
  if (early && earlier != found) return "a reader saw another value than the recovery then left";
  error = record_->JudgeFound(found);
  if (!error.empty()) return error;
  // A survivor that wrote first may itself have died before it deleted.
  const Result<bool> survivors = client.Contains(kSurvivorsKey);
  if (!survivors.ok()) return Failed("Contains", survivors.status());
  uint64_t there = *survivors ? 1 : 0;
  for (const KnownItem* item : found) there += item != nullptr;
  const Result<Stats> stats = client.GetStats();
  if (!stats.ok()) return Failed("GetStats", stats.status());
  if (stats->objects != there)
    return fmt::format("the store counts {} objects, and {} keys can be read", stats->objects, there);
  if (stats->bytes_retired != 0) return fmt::format("{} bytes are retired, and nobody is left", stats->bytes_retired);
  if (!first) error = SurvivorsGoOn(client);
  return error.empty() ? "" : "survivors: " + error;
}

std::string CrashJudge::SurvivorsGoOn(Client& client) {
  const std::string value = "survived";
  const Result<uint64_t> put = client.Put(kSurvivorsKey, value);
  const bool full = put.code() == Code::kSegmentFull || put.code() == Code::kTooManyObjects;
  if (!put.ok()) return full ? "" : Failed("Put", put.status());
  {
    const Result<Handle> handle = client.Get(kSurvivorsKey);
    if (!handle.ok()) return Failed("Get", handle.status());
    if (handle->view() != value) return "Get gave other bytes than Put took";
  }
  const Status status = client.Delete(kSurvivorsKey);
  return status.ok() ? "" : Failed("Delete", status);
}

void CrashJudge::SetStepping(bool stepping) {
  stepping_ = stepping;
  image_->set_hashing(stepping);
}

// A store by a healer: its death here leaves a state that the next one must heal.
void CrashJudge::AfterStore(bool changed) {
  if (!changed || !stepping_ || !nested_error_.empty()) return;
  ++counts_.states;
  if (!IsNew(image_->hash())) return;
  const uint32_t level = level_;
  level_ = level + 1;
  const uint64_t choice = image_->hash() >> 7;
  std::string error = Heal(level_, choice);
  level_ = level;
  stepping_ = true;
  if (!error.empty())
    nested_error_ = fmt::format("and if then healer {} died at one of its stores: {}", level + 1, error);
}

void CrashJudge::FinishPayload() {
  if (payload_size_ == 0) return;
  const AllocationScope none(nullptr);
  // The image wants to see the changes: where there are any, back to what was, and the new word as a store.
  std::byte* const place = image_->memory().data() + payload_;
  const uint64_t size = std::exchange(payload_size_, 0);
  bool changed = false;
  for (uint64_t at = 0; at < size; at += 8) {
    const uint64_t some = std::min<uint64_t>(8, size - at);
    uint64_t now = 0, before = 0;
    memcpy(&now, place + at, some);
    memcpy(&before, payload_before_.data() + at, some);
    if (now == before) continue;
    memcpy(place + at, &before, some);
    changed |= image_->WriteBytes(payload_ + at, reinterpret_cast<const std::byte*>(&now), some);
  }
  AfterStore(changed);
}

void CrashJudge::Payload(void* place, uint64_t size) {
  FinishPayload();
  const uint64_t offset = OffsetOf(place);
  if (offset >= image_->segment().geometry().size) return;
  const AllocationScope none(nullptr);
  payload_ = offset;
  payload_size_ = size;
  payload_before_.assign(static_cast<std::byte*>(place), static_cast<std::byte*>(place) + size);
}

uint64_t CrashJudge::Load(const void* place, uint32_t size) {
  uint64_t value = 0;
  memcpy(&value, place, size);
  return value;
}

void CrashJudge::Store(void* place, uint32_t size, uint64_t value) {
  FinishPayload();
  const AllocationScope none(nullptr);
  AfterStore(image_->Write(OffsetOf(place), size, value));
}

uint64_t CrashJudge::Exchange(void* place, uint32_t size, uint64_t value) {
  const uint64_t before = Load(place, size);
  Store(place, size, value);
  return before;
}

uint64_t CrashJudge::FetchAdd(void* place, uint32_t size, uint64_t value) {
  const uint64_t before = Load(place, size);
  Store(place, size, before + value);
  return before;
}

uint64_t CrashJudge::CompareExchange(void* place, uint32_t size, uint64_t expected, uint64_t desired) {
  const uint64_t before = Load(place, size);
  if (before == expected) Store(place, size, desired);
  return before;
}

}  // namespace lightning::faults
