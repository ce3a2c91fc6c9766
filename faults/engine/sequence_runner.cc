#include "faults/engine/sequence_runner.h"

#include <fmt/format.h>

#include <algorithm>

namespace lightning::faults {
namespace {

constexpr size_t kMostHandles = 40;  // at once; fewer than the spare object ids of the smallest segment

ModelLimits LimitsOf(const TestSegment& target, const Options& options) {
  ModelLimits limits;
  limits.heap_bytes = uint64_t{target.segment().geometry().heap_granules} * kGranule;
  limits.max_objects = options.max_objects;
  limits.event_slots = options.event_slots;
  limits.evicts = options.eviction == Eviction::kLru;
  return limits;
}

}  // namespace

SequenceRunner::SequenceRunner(TestSegment& target, const Options& options, const std::vector<std::string>& keys,
                               uint32_t clients)
    : target_(target), options_(options), keys_(keys), model_(LimitsOf(target, options)), seats_(clients) {}

SequenceRunner::~SequenceRunner() {
  // Before the clients.
  handles_.clear();
  writers_.clear();
  subscriptions_.clear();
}

std::string SequenceRunner::Unexpected(const char* what, const Status& status) const {
  return fmt::format("{} answered {}", what, status.ToString());
}

std::string SequenceRunner::Run(const Operation& operation) {
  const uint32_t index = operation.client;
  Seat& seat = seats_[index];
  // What belongs to no seat in particular.
  switch (operation.op) {
    case Op::kSeal:
      return Seal(operation);
    case Op::kAbort:
      return Abort(operation);
    case Op::kRelease:
      return Release(operation);
    case Op::kUnsubscribe:
      return Unsubscribe(operation);
    case Op::kNextEvent:
      return NextEvent(operation);
    default:
      break;
  }
  if (!seat.client.has_value()) return Attach(index);
  if (seat.closed) {
    const Result<bool> answer = seat.client->Contains(keys_[operation.keys[0]]);
    return answer.code() == Code::kClosed ? "" : Unexpected("Contains on a closed client", answer.status());
  }
  switch (operation.op) {
    case Op::kPut:
      return Put(seat, operation, /*replace=*/false);
    case Op::kReplace:
      return Put(seat, operation, /*replace=*/true);
    case Op::kPutBatch:
      return PutBatch(seat, operation);
    case Op::kCreate:
      return Create(seat, index, operation);
    case Op::kGet:
    case Op::kGetWaiting:
      return Get(seat, index, operation);
    case Op::kGetBatch:
      return GetBatch(seat, index, operation);
    case Op::kContains:
      return Contains(seat, operation);
    case Op::kDelete:
      return Delete(seat, operation);
    case Op::kList:
      return List(seat, operation);
    case Op::kEvict:
      return Evict(seat, operation);
    case Op::kStats:
      return JudgeStats(seat, false);
    case Op::kRecover:
      return Recover(seat);
    case Op::kSubscribe:
      return Subscribe(seat, index);
    case Op::kClose:
      return Close(seat, index);
    case Op::kDie:
      return Die(seat, index);
    case Op::kInvalid:
      return Invalid(seat, operation);
    case Op::kCheck:
      return CheckAll(seat);
    default:
      return "";
  }
}

std::string SequenceRunner::Bytes(const HeldHandle& held) const {
  const Item& item = held.object->item;
  const std::string key = ShowKey(held.object->key);
  if (held.handle.size() != item.size || held.handle.metadata().size() != item.metadata_size)
    return fmt::format("a handle of {} has {} + {} bytes instead of {} + {}", key, held.handle.size(),
                       held.handle.metadata().size(), item.size, item.metadata_size);
  if (!MatchesPattern(held.handle.bytes(), item.tag) || !MatchesPattern(held.handle.metadata(), MetadataTag(item.tag)))
    return fmt::format("the bytes of a pinned {} (version {}) are not what was put", key, held.object->version);
  if (held.handle.version() != held.object->version)
    return fmt::format("a handle of {} has version {} instead of {}", key, held.handle.version(), held.object->version);
  return "";
}

std::string SequenceRunner::TakeHandle(uint32_t index, const std::string& key, Result<Handle> handle) {
  const ObjectPtr object = model_.Sealed(key);
  const auto pins =
      std::count_if(handles_.begin(), handles_.end(), [&](const HeldHandle& h) { return h.seat == index; });
  if (object != nullptr && static_cast<uint64_t>(pins) >= options_.max_pins)
    return handle.code() == Code::kTooManyPins ? "" : Unexpected("Get with every pin taken", handle.status());
  if (object == nullptr)
    return handle.code() == Code::kNotFound || handle.code() == Code::kTimeout
               ? ""
               : Unexpected(("Get of the absent " + ShowKey(key)).c_str(), handle.status());
  if (!handle.ok()) return Unexpected(("Get of " + ShowKey(key)).c_str(), handle.status());
  model_.Use(seats_[index].identity, object);
  model_.Pin(object);
  ++seats_[index].references;
  handles_.push_back({std::move(*handle), object, index, seats_[index].identity});
  return Bytes(handles_.back());
}

std::string SequenceRunner::Get(Seat& seat, uint32_t index, const Operation& operation) {
  const std::string& key = keys_[operation.keys[0]];
  // Only a simulated world lets time pass for nothing.
  const bool waits = operation.op == Op::kGetWaiting && target_.world() != nullptr;
  Result<Handle> handle = seat.client->Get(key, std::chrono::milliseconds(waits ? 5 : 0));
  const bool absent = model_.Sealed(key) == nullptr;
  if (absent && handle.code() != (waits ? Code::kTimeout : Code::kNotFound))
    return Unexpected(("Get of the absent " + ShowKey(key)).c_str(), handle.status());
  std::string error = TakeHandle(index, key, std::move(handle));
  if (error.empty() && handles_.size() > kMostHandles) error = DropHandle(handles_.begin());
  return error;
}

std::string SequenceRunner::GetBatch(Seat& seat, uint32_t index, const Operation& operation) {
  std::vector<std::string_view> keys;
  for (const uint32_t key : operation.keys) keys.push_back(keys_[key]);
  std::vector<Result<Handle>> handles = seat.client->GetBatch(keys);
  if (handles.size() != keys.size()) return "GetBatch gave another number of results than there were keys";
  std::string error;
  for (size_t i = 0; i < keys.size() && error.empty(); ++i)
    error = TakeHandle(index, std::string(keys[i]), std::move(handles[i]));
  while (error.empty() && handles_.size() > kMostHandles) error = DropHandle(handles_.begin());
  return error;
}

std::string SequenceRunner::DropHandle(std::list<HeldHandle>::iterator at) {
  std::string error = Bytes(*at);
  const uint32_t index = at->seat;
  model_.Unpin(at->object);
  handles_.erase(at);
  DropReference(index);
  return error;
}

std::string SequenceRunner::Release(const Operation& operation) {
  if (handles_.empty()) return "";
  auto at = handles_.begin();
  std::advance(at, static_cast<std::ptrdiff_t>(operation.choice % handles_.size()));
  return DropHandle(at);
}

std::string SequenceRunner::Contains(Seat& seat, const Operation& operation) {
  const std::string& key = keys_[operation.keys[0]];
  const Result<bool> answer = seat.client->Contains(key);
  if (!answer.ok()) return Unexpected("Contains", answer.status());
  if (*answer != (model_.Sealed(key) != nullptr)) return fmt::format("Contains of {} said {}", ShowKey(key), *answer);
  return "";
}

std::string SequenceRunner::List(Seat& seat, const Operation& operation) {
  const std::string& key = keys_[operation.keys[0]];
  const std::string prefix = key.substr(0, operation.choice % 3 == 0 ? 0 : operation.choice % (key.size() + 1));
  const Result<std::vector<ObjectInfo>> list = seat.client->List(prefix);
  if (!list.ok()) return Unexpected("List", list.status());
  auto at = list->begin();
  for (const auto& [name, object] : model_.sealed()) {
    if (!name.starts_with(prefix)) continue;
    if (at == list->end()) return fmt::format("List does not have {}", ShowKey(name));
    if (at->key != name || at->version != object->version || at->size != object->item.size ||
        at->metadata_size != object->item.metadata_size)
      return fmt::format("List has {} (version {}) where {} (version {}) should be", ShowKey(at->key), at->version,
                         ShowKey(name), object->version);
    ++at;
  }
  return at == list->end() ? "" : fmt::format("List has {}, which is not there", ShowKey(at->key));
}

std::string SequenceRunner::JudgeStats(Seat& seat, bool recovered) {
  const Result<Stats> stats = seat.client->GetStats();
  if (!stats.ok()) return Unexpected("GetStats", stats.status());
  const uint64_t pinned = model_.bytes_pinned_only();
  if (stats->objects != model_.objects())
    return fmt::format("{} objects instead of {}", stats->objects, model_.objects());
  if (stats->bytes_used != model_.bytes_used())
    return fmt::format("{} bytes used instead of {}", stats->bytes_used, model_.bytes_used());
  if (recovered ? stats->bytes_retired != pinned : stats->bytes_retired < pinned)
    return fmt::format("{} bytes retired, and readers pin {}", stats->bytes_retired, pinned);
  if (stats->bytes_free + stats->bytes_retired + stats->bytes_used != model_.limits().heap_bytes)
    return fmt::format("{} bytes free, {} used and {} retired are not the {} of the heap", stats->bytes_free,
                       stats->bytes_used, stats->bytes_retired, model_.limits().heap_bytes);
  const auto seated =
      std::count_if(seats_.begin(), seats_.end(), [](const Seat& its) { return its.client.has_value(); });
  if (stats->clients != static_cast<uint64_t>(seated))
    return fmt::format("{} clients instead of {}", stats->clients, seated);
  return "";
}

std::string SequenceRunner::Recover(Seat& seat) {
  const Result<RecoveryReport> report = seat.client->Recover();
  if (!report.ok()) return Unexpected("Recover", report.status());
  if (report->recovered != 0) return "Recover healed a client, and none was dead";
  return JudgeStats(seat, /*recovered=*/true);
}

std::string SequenceRunner::CheckAll(Seat& seat) {
  const CheckReport report = seat.client->Check();
  if (report.ok) return "";
  return "Check: " + (report.violations.empty() ? std::string("busy") : report.violations[0]);
}

std::string SequenceRunner::Finish() {
  std::string error;
  while (!handles_.empty() && error.empty()) error = DropHandle(handles_.begin());
  if (!error.empty()) return error;
  subscriptions_.clear();
  model_.set_subscribers(0);
  while (!writers_.empty() && error.empty()) error = Abort(Operation{});
  for (uint32_t i = 1; i < seats_.size() && error.empty(); ++i) {
    if (seats_[i].client.has_value()) error = Close(seats_[i], i);
  }
  Seat& seat = seats_[0];
  if (error.empty() && !seat.client.has_value()) error = Attach(0);
  if (error.empty()) error = Recover(seat);
  if (error.empty()) error = CheckAll(seat);
  if (!error.empty()) return error;
  std::vector<std::string> left;
  for (const auto& [key, object] : model_.sealed()) left.push_back(key);
  for (const std::string& key : left) {
    const Status status = seat.client->Delete(key);
    if (!status.ok()) return Unexpected("the last Delete", status);
    model_.Delete(key);
  }
  error = Recover(seat);
  const Result<Stats> stats = seat.client->GetStats();
  if (error.empty() && stats.ok() && stats->largest_free != model_.limits().heap_bytes)
    return fmt::format("the empty heap's largest free extent has {} bytes of {}", stats->largest_free,
                       model_.limits().heap_bytes);
  return error;
}

}  // namespace lightning::faults
