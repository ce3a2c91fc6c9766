#include "faults/engine/plan_runner.h"

#include <algorithm>
#include <cstring>

namespace lightning::faults {
namespace {

// Looks at every byte, with few instructions: they are stepped.
uint64_t Look(Bytes bytes) {
  uint64_t sum = 0;
  size_t at = 0;
  for (; at + 8 <= bytes.size(); at += 8) {
    uint64_t word;
    memcpy(&word, bytes.data() + at, sizeof word);
    sum += word;
  }
  for (; at < bytes.size(); ++at) sum += static_cast<uint64_t>(bytes[at]);
  return sum;
}

// Whether a value of this key and size was made by a create that gave it pages of its own.
bool HasPages(const Plan& plan, const std::string& key, uint64_t size) {
  for (const PlanClient& client : plan.clients) {
    for (const auto* program : {&client.before, &client.operations}) {
      for (const PlanOperation& operation : *program) {
        for (const NamedItem& its : operation.items) {
          if (its.key == key && its.item.size == size && its.item.whole_pages) return true;
        }
      }
    }
  }
  return false;
}

}  // namespace

PlanRunner::PlanRunner(Store store, const PlanClient& client) : store_(std::move(store)), client_(client) {
  for (const PlanOperation& operation : client.before) before_.push_back(Prepare(operation));
  for (const PlanOperation& operation : client.operations) operations_.push_back(Prepare(operation));
}

PlanRunner::Prepared PlanRunner::Prepare(const PlanOperation& operation) {
  Prepared prepared;
  for (const auto& [key, item] : operation.items) {
    prepared.values.push_back(Pattern(item.size, item.tag));
    prepared.metadata.push_back(Pattern(item.metadata_size, MetadataTag(item.tag)));
  }
  // Moving a Prepared moves the vectors' elements with their addresses, short strings included.
  for (size_t i = 0; i < operation.items.size(); ++i)
    prepared.items.push_back({operation.items[i].key, AsBytes(prepared.values[i]), AsBytes(prepared.metadata[i])});
  return prepared;
}

Status PlanRunner::Begin() {
  const auto& first = client_.before.empty() ? client_.operations : client_.before;
  if (!attached_ && (first.empty() || first[0].action != Action::kAttach)) {
    Result<Client> client = store_.Connect();
    if (!client.ok()) return client.status();
    attached_.emplace(std::move(*client));
  }
  for (size_t i = 0; i < client_.before.size(); ++i) {
    Do(client_.before[i], before_[i]);
    Settle(client_.before[i]);
  }
  return {};
}

Code PlanRunner::Do(const PlanOperation& operation, const Prepared& prepared) {
  if (attached_.has_value() == (operation.action == Action::kAttach)) return code_ = Code::kClosed;
  switch (operation.action) {
    case Action::kPut:
    case Action::kReplace:
    case Action::kPutBatch:
      return code_ = Write(operation, prepared);
    case Action::kCreate:
      return code_ = Create(operation, prepared);
    case Action::kGet:
    case Action::kPin:
    case Action::kContains:
    case Action::kList:
      return code_ = Read(operation);
    case Action::kDelete:
      return code_ = attached_->Delete(operation.items[0].key).code();
    case Action::kEvict:
      return code_ = attached_->Evict(operation.amount).code();
    case Action::kRecover:
      return code_ = attached_->Recover().code();
    case Action::kCheck:
      return code_ = attached_->Check().ok ? Code::kOk : Code::kCorrupt;
    case Action::kSubscribe: {
      Result<Subscription> subscription = attached_->Subscribe();
      if (subscription.ok()) subscription_.emplace(std::move(*subscription));
      return code_ = subscription.code();
    }
    case Action::kNextEvent:
      if (subscriptions_.empty()) return code_ = Code::kClosed;
      return code_ = subscriptions_.front().Next(std::chrono::nanoseconds(0)).code();
    case Action::kAttach: {
      Result<Client> client = store_.Connect();
      if (client.ok()) attached_.emplace(std::move(*client));
      return code_ = client.code();
    }
    default:
      return code_ = End(operation);
  }
}

Code PlanRunner::Write(const PlanOperation& operation, const Prepared& prepared) {
  const BatchItem& item = prepared.items[0];
  PutOptions options;
  options.metadata = item.metadata;
  if (operation.action == Action::kPutBatch) {
    Result<std::vector<uint64_t>> versions = attached_->PutBatch(prepared.items);
    if (versions.ok()) made_ = std::move(*versions);
    return versions.code();
  }
  const auto seen = versions_.find(operation.items[0].key);
  const Result<uint64_t> version =
      operation.action == Action::kPut
          ? attached_->Put(item.key, item.value, options)
          : attached_->Replace(item.key, item.value, seen == versions_.end() ? 0 : seen->second, options);
  if (version.ok()) made_.assign(1, *version);
  return version.code();
}

Code PlanRunner::Create(const PlanOperation& operation, const Prepared& prepared) {
  PutOptions options;
  options.metadata = prepared.items[0].metadata;
  Result<Writer> writer = attached_->Create(operation.items[0].key, operation.items[0].item.size, options);
  if (!writer.ok()) return writer.code();
  const std::string& value = prepared.values[0];
  if (!value.empty()) memcpy(writer->Writable().data(), value.data(), value.size());
  writer_.emplace(std::move(*writer));
  return Code::kOk;
}

Code PlanRunner::Read(const PlanOperation& operation) {
  const std::string& key = operation.items[0].key;
  if (operation.action == Action::kContains) return attached_->Contains(key).code();
  if (operation.action == Action::kList) return attached_->List(key).code();
  Result<Handle> handle = attached_->Get(key);
  if (!handle.ok()) return handle.code();
  made_.assign(1, handle->version());
  if (operation.action == Action::kPin) {
    handle_.emplace(std::move(*handle));
    return Code::kOk;
  }
  volatile uint64_t seen = Look(handle->bytes());
  static_cast<void>(seen);
  return Code::kOk;
}

// What ends something that the client has.
Code PlanRunner::End(const PlanOperation& operation) {
  const std::string& key = operation.items.empty() ? client_.name : operation.items[0].key;
  if (operation.action == Action::kUnpin) {
    const auto held = handles_.find(key);
    if (held == handles_.end()) return Code::kClosed;
    held->second.front().Release();
    return Code::kOk;
  }
  if (operation.action == Action::kUnsubscribe) {
    if (subscriptions_.empty()) return Code::kClosed;
    subscriptions_.front() = Subscription();
    return Code::kOk;
  }
  if (operation.action == Action::kDetach) {
    handles_.clear();
    writers_.clear();
    subscriptions_.clear();
    attached_->Close();
    return Code::kOk;
  }
  const auto writer = writers_.find(key);
  if (writer == writers_.end()) return Code::kClosed;
  if (operation.action == Action::kAbort) return writer->second.Abort().code();
  const Result<uint64_t> version = writer->second.Seal();
  if (version.ok()) made_.assign(1, *version);
  return version.code();
}

void PlanRunner::Settle(const PlanOperation& operation) {
  for (size_t i = 0; i < made_.size(); ++i) versions_[operation.items[i].key] = made_[i];
  made_.clear();
  if (handle_) handles_[operation.items[0].key].push_back(std::move(*handle_));
  handle_.reset();
  if (writer_) {
    writers_[operation.items[0].key] = std::move(*writer_);
    reserved_[operation.items[0].key] = operation.items[0].item;
  }
  writer_.reset();
  if (subscription_) subscriptions_.push_back(std::move(*subscription_));
  subscription_.reset();
  if (code_ != Code::kOk) return;
  if (operation.action == Action::kUnpin) {
    std::deque<Handle>& held = handles_[operation.items[0].key];
    held.pop_front();
    if (held.empty()) handles_.erase(operation.items[0].key);
  }
  if (operation.action == Action::kUnsubscribe) subscriptions_.pop_front();
  if (operation.action == Action::kSeal || operation.action == Action::kAbort) {
    writers_.erase(operation.items[0].key);
    reserved_.erase(operation.items[0].key);
  }
  if (operation.action != Action::kDetach) return;
  attached_.reset();
  reserved_.clear();
  versions_.clear();
}

std::vector<PinnedObject> PlanRunner::Pinned(const Plan& plan) const {
  std::vector<PinnedObject> pinned;
  for (const auto& held : handles_) {
    const std::string& key = held.first;
    for (const Handle& handle : held.second) {
      const bool twice = std::any_of(pinned.begin(), pinned.end(), [&](const PinnedObject& its) {
        return its.key == key && its.version == handle.version();
      });
      if (twice) continue;
      Item item;
      item.size = handle.size();
      item.metadata_size = static_cast<uint32_t>(handle.metadata().size());
      item.whole_pages = HasPages(plan, key, item.size);
      pinned.push_back({key, handle.version(), HeapBytes(key, item)});
    }
  }
  return pinned;
}

std::vector<NamedItem> PlanRunner::Reserved() const {
  std::vector<NamedItem> reserved;
  for (const auto& [key, item] : reserved_) reserved.push_back({key, item});
  return reserved;
}

}  // namespace lightning::faults
