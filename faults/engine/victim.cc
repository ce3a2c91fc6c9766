#include "faults/engine/victim.h"

#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <optional>

namespace lightning::faults {
namespace {

// Where the tracer begins and ends. A breakpoint that nobody planted.
inline void Marker() { asm volatile("int3" ::: "memory"); }

PutOptions WithMetadata(const std::string& metadata) {
  PutOptions options;
  options.metadata = AsBytes(metadata);
  return options;
}

struct Prepared {
  std::string value, metadata;
};

// All that the operation needs is made before it, so that what is stepped is the store's and not the harness's.
class Operation {
 public:
  Operation(const StepPlan& plan, const Store& store) : plan_(plan), store_(store) {
    for (const NamedItem& object : plan.objects) {
      prepared_.push_back({Pattern(object.item.size, object.item.tag),
                           Pattern(object.item.metadata_size, MetadataTag(object.item.tag))});
    }
    for (size_t i = 0; i < plan.objects.size(); ++i)
      batch_.push_back({plan.objects[i].key, AsBytes(prepared_[i].value), AsBytes(prepared_[i].metadata)});
  }

  Status Prepare() {
    if (plan_.kind != StepKind::kAttach) {
      Result<Client> client = store_.Connect();
      if (!client.ok()) return client.status();
      client_.emplace(std::move(*client));
      const std::string error = DoSetup(*client_, plan_.victim, &held_);
      if (!error.empty()) {
        fprintf(stderr, "victim: %s\n", error.c_str());
        return Code::kInvalidArgument;
      }
    }
    if (plan_.kind == StepKind::kReplace) {
      const Result<Handle> handle = client_->Get(plan_.objects[0].key);
      if (!handle.ok()) return handle.status();
      version_ = handle->version();
    }
    if (plan_.kind == StepKind::kUnsubscribe) {
      victim_subscription_.emplace(std::move(held_.subscriptions.back()));
      held_.subscriptions.pop_back();
    }
    return {};
  }

  Status Run() {
    switch (plan_.kind) {
      case StepKind::kPut: {
        const Result<uint64_t> put = client_->Put(plan_.objects[0].key, prepared_[0].value, Metadata());
        return put.status();
      }
      case StepKind::kReplace:
        return client_->Replace(plan_.objects[0].key, AsBytes(prepared_[0].value), version_, Metadata()).status();
      case StepKind::kPutBatch:
        return client_->PutBatch(batch_).status();
      case StepKind::kCreateSeal:
      case StepKind::kCreateAbort:
        return CreateAndEnd();
      case StepKind::kDelete:
        return client_->Delete(plan_.objects[0].key);
      case StepKind::kEvict:
        return client_->Evict(plan_.evict_bytes).status();
      case StepKind::kSubscribe: {
        Result<Subscription> subscription = client_->Subscribe();
        if (subscription.ok()) held_.subscriptions.push_back(std::move(*subscription));
        return subscription.status();
      }
      case StepKind::kUnsubscribe:
        victim_subscription_.reset();
        return {};
      case StepKind::kAttach: {
        Result<Client> client = store_.Connect();
        if (client.ok()) client_.emplace(std::move(*client));
        return client.status();
      }
      case StepKind::kDetach:
        held_ = Held();
        client_->Close();
        return {};
      case StepKind::kRecover:
        return client_->Recover().status();
    }
    return Code::kInvalidArgument;
  }

 private:
  PutOptions Metadata() const { return WithMetadata(prepared_[0].metadata); }

  Status CreateAndEnd() {
    Result<Writer> writer = client_->Create(plan_.objects[0].key, plan_.objects[0].item.size, Metadata());
    if (!writer.ok()) return writer.status();
    const std::string& value = prepared_[0].value;
    if (!value.empty()) memcpy(writer->Writable().data(), value.data(), value.size());
    return plan_.kind == StepKind::kCreateSeal ? writer->Seal().status() : writer->Abort();
  }

  const StepPlan& plan_;
  const Store& store_;
  std::vector<Prepared> prepared_;
  std::vector<BatchItem> batch_;
  std::optional<Client> client_;
  std::optional<Subscription> victim_subscription_;
  Held held_;
  uint64_t version_ = 0;
};

}  // namespace

std::string DoSetup(Client& client, std::span<const SetupStep> steps, Held* held) {
  for (const SetupStep& step : steps) {
    const auto& [key, item] = step.object;
    const std::string metadata = Pattern(item.metadata_size, MetadataTag(item.tag));
    Status status;
    switch (step.kind) {
      case SetupStep::kPut:
        status = client.Put(key, Pattern(item.size, item.tag), WithMetadata(metadata)).status();
        break;
      case SetupStep::kDelete:
        status = client.Delete(key);
        break;
      case SetupStep::kPin: {
        Result<Handle> handle = client.Get(key);
        status = handle.status();
        if (handle.ok()) held->handles.push_back(std::move(*handle));
        break;
      }
      case SetupStep::kSubscribe: {
        Result<Subscription> subscription = client.Subscribe();
        status = subscription.status();
        if (subscription.ok()) held->subscriptions.push_back(std::move(*subscription));
        break;
      }
      case SetupStep::kCreate: {
        Result<Writer> writer = client.Create(key, item.size, WithMetadata(metadata));
        status = writer.status();
        if (writer.ok()) held->writers.push_back(std::move(*writer));
        break;
      }
    }
    if (!status.ok()) return "setup of " + ShowKey(key) + ": " + status.ToString();
  }
  return "";
}

std::vector<PinnedObject> PinnedObjects(std::span<const SetupStep> steps, const Held& held) {
  std::vector<PinnedObject> pinned;
  for (const SetupStep& step : steps) {
    if (step.kind != SetupStep::kPin) continue;
    const Handle& handle = held.handles.at(pinned.size());
    Item item;
    item.size = handle.size();
    item.metadata_size = static_cast<uint32_t>(handle.metadata().size());
    pinned.push_back({step.object.key, handle.version(), HeapBytes(step.object.key, item)});
  }
  return pinned;
}

void RunVictim(const std::string& name, uint64_t seed, const std::string& path, Isolation isolation) {
  const StepPlan plan = MakeStepPlan(name, seed);
  Options options;
  options.mode = OpenMode::kOpen;
  options.isolation = isolation;
  const Result<Store> store = Store::Open(path, options);
  if (!store.ok()) {
    fprintf(stderr, "victim: %s\n", store.status().ToString().c_str());
    _exit(3);
  }
  Operation operation(plan, *store);
  Status status = operation.Prepare();
  if (status.ok()) {
    Marker();
    status = operation.Run();
    Marker();
  }
  if (!status.ok()) fprintf(stderr, "victim: %s\n", status.ToString().c_str());
  _exit(status.ok() ? 0 : 3);
}

}  // namespace lightning::faults
