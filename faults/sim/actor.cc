#include "faults/sim/actor.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "faults/sim/allocations.h"
#include "store/segment/atomic.h"

namespace lightning::faults {
namespace {

PutOptions WithMetadata(const KnownItem& item) {
  PutOptions options;
  options.metadata = AsBytes(item.metadata);
  return options;
}

}  // namespace

void Actor::Expect(const char* what, const Status& status, std::initializer_list<Code> allowed) {
  if (status.ok() || std::find(allowed.begin(), allowed.end(), status.code()) != allowed.end()) return;
  if (status.code() == Code::kTimeout && stage_.PatienceMayEnd()) return;
  const AllocationScope scope(nullptr);
  stage_.Fail(fmt::format("{} by client {} failed: {}", what, number_, status.ToString()));
}

void Actor::ExpectReserved(const Beginning& beginning, Code code, const PlanOperation& operation) {
  if (code != Code::kBeingCreated || stage_.PatienceMayEnd()) return;
  // A living client may be healing the dead one, and has not come to this key.
  if (!beginning.at_rest || stage_.OthersAtRest(number_) != beginning.at_rest) return;
  for (size_t i = 0; i < operation.items.size(); ++i) {
    if (record_.WasReserved(record_.catalogue().Of(operation, i)->key, beginning.call)) return;
  }
  const AllocationScope scope(nullptr);
  stage_.Fail(fmt::format("client {} was refused {} as being created, by nobody who lives", number_,
                          ShowKey(operation.items[0].key)));
}

Record::Token Actor::BeginWrite(const KnownItem* item, uint32_t batch, const Last* expected) {
  const AllocationScope scope(nullptr);
  KeyOperation write;
  write.client = number_;
  write.call = stage_.Tick();
  write.item = item;
  write.batch = batch;
  write.conditional = expected != nullptr;
  if (expected != nullptr) write.expected = expected->item;
  return record_.Begin(item->key, write);
}

void Actor::EndWrite(Record::Token token, bool done, uint64_t version) {
  record_.End(token, done ? KeyOperation::kDone : KeyOperation::kFailed, stage_.Tick(), version);
}

void Actor::Remember(uint32_t key, const KnownItem* item, uint64_t version) {
  for (Last& last : last_) {
    if (last.key == key) {
      last = {key, item, version};
      return;
    }
  }
  last_.push_back({key, item, version});
}

void Actor::DoOne(const PlanOperation& operation) {
  if (operation.action == Action::kAttach) {
    if (client_) return;
    Result<Client> client = stage_.Attach(number_);
    Expect("attach", client.status(), {Code::kTooManyClients});
    if (client.ok()) client_.emplace(std::move(*client));
    return;
  }
  if (!client_) return;
  ++operations_;
  switch (operation.action) {
    case Action::kPut:
      return Put(operation);
    case Action::kReplace:
      return Replace(operation);
    case Action::kPutBatch:
      return PutBatch(operation);
    case Action::kCreate:
      return Create(operation);
    case Action::kSeal:
    case Action::kAbort:
      return SealOrAbort(operation);
    case Action::kGet:
    case Action::kPin:
      return Get(operation, operation.action == Action::kPin);
    case Action::kUnpin:
      return Unpin(record_.catalogue().Of(operation, 0)->key);
    case Action::kContains:
      return Contains(operation);
    case Action::kDelete:
      return Delete(operation);
    case Action::kList:
      return List(operation);
    default:
      return Other(operation);
  }
}

void Actor::Put(const PlanOperation& operation) {
  const KnownItem* const item = record_.catalogue().Of(operation, 0);
  const Beginning beginning = Begin();
  const Record::Token token = BeginWrite(item);
  const Result<uint64_t> put = client_->Put(operation.items[0].key, item->value, WithMetadata(*item));
  EndWrite(token, put.ok(), put.ok() ? *put : 0);
  Expect("put", put.status(), {Code::kSegmentFull, Code::kTooManyObjects, Code::kBeingCreated});
  ExpectReserved(beginning, put.code(), operation);
  if (put.ok()) Remember(item->key, item, *put);
}

void Actor::Replace(const PlanOperation& operation) {
  const KnownItem* const item = record_.catalogue().Of(operation, 0);
  const auto last = std::find_if(last_.begin(), last_.end(), [&](const Last& l) { return l.key == item->key; });
  if (last == last_.end() || last->item == nullptr) return;
  const Beginning beginning = Begin();
  const Record::Token token = BeginWrite(item, 0, &*last);
  const Result<uint64_t> put =
      client_->Replace(operation.items[0].key, AsBytes(item->value), last->version, WithMetadata(*item));
  const bool refused = put.code() == Code::kVersionMismatch || put.code() == Code::kNotFound;
  record_.End(token,
              put.ok()  ? KeyOperation::kDone
              : refused ? KeyOperation::kRefused
                        : KeyOperation::kFailed,
              stage_.Tick(), put.ok() ? *put : 0);
  Expect("replace", put.status(),
         {Code::kSegmentFull, Code::kTooManyObjects, Code::kBeingCreated, Code::kVersionMismatch, Code::kNotFound});
  ExpectReserved(beginning, put.code(), operation);
  if (put.ok()) Remember(item->key, item, *put);
}

void Actor::PutBatch(const PlanOperation& operation) {
  const Beginning beginning = Begin();
  const uint32_t batch = record_.NextBatch();
  batch_.clear();
  tokens_.clear();
  for (size_t i = 0; i < operation.items.size(); ++i) {
    const KnownItem* const item = record_.catalogue().Of(operation, i);
    batch_.push_back({operation.items[i].key, AsBytes(item->value), AsBytes(item->metadata)});
    tokens_.push_back(BeginWrite(item, batch));
  }
  const Result<std::vector<uint64_t>> put = client_->PutBatch(batch_);
  for (size_t i = 0; i < tokens_.size(); ++i) EndWrite(tokens_[i], put.ok(), put.ok() ? (*put)[i] : 0);
  Expect("batch", put.status(), {Code::kSegmentFull, Code::kTooManyObjects, Code::kBeingCreated});
  ExpectReserved(beginning, put.code(), operation);
}

void Actor::Create(const PlanOperation& operation) {
  const KnownItem* const item = record_.catalogue().Of(operation, 0);
  const Beginning beginning = Begin();
  {
    const AllocationScope scope(nullptr);
    record_.Reserve(item->key, number_, beginning.call);
  }
  Result<Writer> writer = client_->Create(operation.items[0].key, item->value.size(), WithMetadata(*item));
  Expect("create", writer.status(),
         {Code::kSegmentFull, Code::kTooManyObjects, Code::kBeingCreated, Code::kAlreadyExists});
  if (!writer.ok()) {
    ExpectReserved(beginning, writer.code(), operation);
    return record_.Release(item->key, number_, stage_.Tick());
  }
  const std::span<std::byte> memory = writer->Writable();
  // Large ones stand in the segment itself.
  if (item->item.whole_pages) BeforePayload(memory.data(), memory.size());
  if (!memory.empty()) memcpy(memory.data(), item->value.data(), memory.size());
  open_.push_back({item, std::move(*writer)});
}

void Actor::SealOrAbort(const PlanOperation& operation) {
  const uint32_t key = record_.catalogue().Of(operation, 0)->key;
  const auto at = std::find_if(open_.begin(), open_.end(), [&](const Open& o) { return o.item->key == key; });
  if (at == open_.end()) return;
  if (operation.action == Action::kAbort) {
    Expect("abort", at->writer.Abort(), {});
  } else {
    const Record::Token token = BeginWrite(at->item);
    const Result<uint64_t> sealed = at->writer.Seal();
    EndWrite(token, sealed.ok(), sealed.ok() ? *sealed : 0);
    Expect("seal", sealed.status(), {});
    if (sealed.ok()) Remember(key, at->item, *sealed);
  }
  open_.erase(at);
  record_.Release(key, number_, stage_.Tick());
}

void Actor::Get(const PlanOperation& operation, bool keep) {
  const uint32_t key = record_.catalogue().Of(operation, 0)->key;
  const uint64_t call = stage_.Tick();
  Result<Handle> handle = client_->Get(operation.items[0].key);
  const uint64_t now = stage_.Tick();
  Expect("get", handle.status(), {Code::kNotFound, Code::kTooManyPins});
  if (!handle.ok() && handle.code() != Code::kNotFound) return;
  const KnownItem* item = nullptr;
  if (handle.ok()) {
    item = record_.catalogue().Recognise(key, handle->bytes(), handle->metadata());
    if (item == nullptr) {
      const AllocationScope scope(nullptr);
      return stage_.Fail(
          fmt::format("client {} read bytes of {} that nobody ever put", number_, ShowKey(operation.items[0].key)));
    }
  }
  {
    const AllocationScope scope(nullptr);
    if (item != nullptr || !record_.keys_may_vanish()) {
      std::string error = record_.Saw(key, number_, call, now, item, handle.ok() ? handle->version() : 0);
      if (!error.empty()) return stage_.Fail(std::move(error));
    }
  }
  Remember(key, item, handle.ok() ? handle->version() : 0);
  if (keep && handle.ok()) kept_.push_back({item, std::move(*handle)});
}

void Actor::Look(const Kept& kept) {
  if (record_.catalogue().Recognise(kept.item->key, kept.handle.bytes(), kept.handle.metadata()) == kept.item) return;
  const AllocationScope scope(nullptr);
  stage_.Fail(fmt::format("the bytes of {} changed while client {} had them pinned",
                          ShowKey(record_.catalogue().name(kept.item->key)), number_));
}

void Actor::Unpin(uint32_t key) {
  const auto at = std::find_if(kept_.begin(), kept_.end(), [&](const Kept& k) { return k.item->key == key; });
  if (at == kept_.end()) return;
  Look(*at);
  kept_.erase(at);
}

void Actor::Contains(const PlanOperation& operation) {
  const uint32_t key = record_.catalogue().Of(operation, 0)->key;
  const uint64_t call = stage_.Tick();
  const Result<bool> there = client_->Contains(operation.items[0].key);
  const uint64_t now = stage_.Tick();
  Expect("contains", there.status(), {});
  if (!there.ok() || *there || record_.keys_may_vanish()) return;
  const AllocationScope scope(nullptr);
  record_.Saw(key, number_, call, now, nullptr, 0);
}

void Actor::Delete(const PlanOperation& operation) {
  const uint32_t key = record_.catalogue().Of(operation, 0)->key;
  KeyOperation intent;
  intent.kind = KeyOperation::kDelete;
  intent.client = number_;
  const Beginning beginning = Begin();
  intent.call = beginning.call;
  Record::Token token;
  {
    const AllocationScope scope(nullptr);
    token = record_.Begin(key, intent);
  }
  const Status status = client_->Delete(operation.items[0].key);
  const uint64_t now = stage_.Tick();
  record_.End(token, status.ok() ? KeyOperation::kDone : KeyOperation::kFailed, now, 0);
  Expect("delete", status, {Code::kNotFound, Code::kBeingCreated});
  ExpectReserved(beginning, status.code(), operation);
  if (status.code() == Code::kNotFound && !record_.keys_may_vanish()) {
    const AllocationScope scope(nullptr);
    record_.Saw(key, number_, intent.call, now, nullptr, 0);
  }
  Remember(key, nullptr, 0);
}

void Actor::List(const PlanOperation& operation) {
  const Result<std::vector<ObjectInfo>> list = client_->List(operation.items[0].key);
  Expect("list", list.status(), {});
  if (!list.ok()) return;
  for (size_t i = 1; i < list->size(); ++i) {
    if ((*list)[i - 1].key < (*list)[i].key) continue;
    const AllocationScope scope(nullptr);
    return stage_.Fail("a list is not sorted, or has a key twice");
  }
}

void Actor::Other(const PlanOperation& operation) {
  switch (operation.action) {
    case Action::kEvict:
      record_.KeysMayVanish();
      return Expect("evict", client_->Evict(operation.amount).status(), {});
    case Action::kSubscribe: {
      Result<Subscription> subscription = client_->Subscribe();
      Expect("subscribe", subscription.status(), {});
      if (subscription.ok()) subscriptions_.push_back(std::move(*subscription));
      return;
    }
    case Action::kUnsubscribe:
      if (!subscriptions_.empty()) subscriptions_.pop_back();
      return;
    case Action::kNextEvent:
      if (!subscriptions_.empty())
        Expect("next event", subscriptions_.back().Next({}).status(), {Code::kTimeout, Code::kFellBehind});
      return;
    case Action::kRecover:
      return Expect("recover", client_->Recover().status(), {});
    case Action::kCheck: {
      const CheckReport report = client_->Check();
      if (report.ok || report.busy || stage_.SomebodyDied()) return;
      const AllocationScope scope(nullptr);
      return stage_.Fail("Check: " + (report.violations.empty() ? std::string("no reason") : report.violations[0]));
    }
    case Action::kDetach:
      return Leave();
    default:
      return;
  }
}

void Actor::Leave() {
  for (const Kept& kept : kept_) Look(kept);
  kept_.clear();
  open_.clear();
  subscriptions_.clear();
  client_.reset();
  record_.ReleaseAll(number_, stage_.Tick());
}

}  // namespace lightning::faults
