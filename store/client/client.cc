// Client, Handle, Writer, Subscription: ownership, and "closed" for what is no longer owned.
#include "lightning/client.h"

#include <algorithm>
#include <utility>

#include "store/client/core.h"

namespace lightning {

Client::Client(Client&& other) noexcept : core_(std::exchange(other.core_, nullptr)) {}
Client& Client::operator=(Client&& other) noexcept {
  std::swap(core_, other.core_);
  return *this;
}
Client::~Client() { Close(); }
void Client::Close() {
  if (core_ != nullptr) std::exchange(core_, nullptr)->DropReference();
}

Result<uint64_t> Client::Put(std::string_view key, Bytes value, const PutOptions& options) {
  if (core_ == nullptr) return Code::kClosed;
  return core_->Put(key, value, options, nullptr);
}
Result<uint64_t> Client::Replace(std::string_view key, Bytes value, uint64_t version, const PutOptions& options) {
  if (core_ == nullptr) return Code::kClosed;
  return core_->Put(key, value, options, &version);
}
Result<std::vector<uint64_t>> Client::PutBatch(std::span<const BatchItem> items, std::chrono::nanoseconds timeout) {
  if (core_ == nullptr) return Code::kClosed;
  return core_->PutBatch(items, timeout);
}
Result<Writer> Client::Create(std::string_view key, uint64_t size, const PutOptions& options) {
  if (core_ == nullptr) return Code::kClosed;
  return core_->Create(key, size, options);
}
Result<Handle> Client::Get(std::string_view key, std::chrono::nanoseconds timeout) {
  if (core_ == nullptr) return Code::kClosed;
  return core_->Get(key, timeout);
}
std::vector<Result<Handle>> Client::GetBatch(std::span<const std::string_view> keys, std::chrono::nanoseconds timeout) {
  std::vector<Result<Handle>> results;
  results.reserve(keys.size());
  const bool waits = core_ != nullptr && timeout.count() > 0;
  const Nanoseconds deadline = waits ? DeadlineAfter(core_->Now(), timeout) : Nanoseconds{0};
  for (const std::string_view key : keys) {
    if (core_ == nullptr) {
      results.emplace_back(Code::kClosed);
      continue;
    }
    // After the deadline a last look without waiting, reported as a time-out all the same.
    Result<Handle> result = core_->Get(key, waits ? std::max(deadline - core_->Now(), Nanoseconds{0}) : Nanoseconds{0});
    if (waits && result.code() == Code::kNotFound) result = Status(Code::kTimeout);
    results.push_back(std::move(result));
  }
  return results;
}
Result<bool> Client::Contains(std::string_view key) {
  if (core_ == nullptr) return Code::kClosed;
  return core_->Contains(key);
}
Status Client::Delete(std::string_view key, std::chrono::nanoseconds timeout) {
  if (core_ == nullptr) return Code::kClosed;
  return core_->Delete(key, timeout);
}
Result<std::vector<ObjectInfo>> Client::List(std::string_view prefix) {
  if (core_ == nullptr) return Code::kClosed;
  return core_->List(prefix);
}
Result<uint64_t> Client::Evict(uint64_t bytes) {
  if (core_ == nullptr) return Code::kClosed;
  return core_->Evict(bytes);
}
Result<Stats> Client::GetStats() {
  if (core_ == nullptr) return Code::kClosed;
  return core_->GetStats();
}
CheckReport Client::Check() {
  if (core_ != nullptr) return core_->Check();
  CheckReport report;
  report.violations.push_back(Status(Code::kClosed).ToString());
  return report;
}
Result<RecoveryReport> Client::Recover() {
  if (core_ == nullptr) return Code::kClosed;
  return core_->Recover();
}
Result<Subscription> Client::Subscribe() {
  if (core_ == nullptr) return Code::kClosed;
  return core_->Subscribe();
}
Isolation Client::isolation() const { return core_ == nullptr ? Isolation::kNone : core_->isolation(); }
const std::string& Client::path() const {
  static const std::string closed;
  return core_ == nullptr ? closed : core_->path();
}

Handle& Handle::operator=(Handle&& other) noexcept {
  if (this == &other) return *this;
  Release();
  core_ = std::exchange(other.core_, nullptr);
  data_ = other.data_;
  size_ = other.size_;
  version_ = other.version_;
  metadata_ = other.metadata_;
  metadata_size_ = other.metadata_size_;
  pin_ = other.pin_;
  return *this;
}
void Handle::Release() {
  if (core_ == nullptr) return;
  data_ = metadata_ = nullptr;
  size_ = metadata_size_ = 0;
  std::exchange(core_, nullptr)->Unpin(pin_);
}

Writer::Writer(Writer&& other) noexcept
    : core_(std::exchange(other.core_, nullptr)),
      object_(other.object_),
      exposed_(other.exposed_),
      writable_(std::exchange(other.writable_, {})) {}
Writer& Writer::operator=(Writer&& other) noexcept {
  std::swap(core_, other.core_);
  std::swap(object_, other.object_);
  std::swap(exposed_, other.exposed_);
  std::swap(writable_, other.writable_);
  return *this;
}
Writer::~Writer() {
  if (core_ != nullptr) static_cast<void>(Abort());
}
Result<uint64_t> Writer::Seal() {
  if (core_ == nullptr) return Code::kClosed;
  ClientCore* const core = core_;
  Result<uint64_t> version = core->Seal(*this);
  if (core_ == nullptr) core->DropReference();
  return version;
}
Status Writer::Abort() {
  if (core_ == nullptr) return Code::kClosed;
  ClientCore* const core = core_;
  const Status status = core->Abort(*this);
  if (status.code() == Code::kIsolationBroken) return status;  // it has changed nothing, and can be tried again
  core_ = nullptr;
  core->DropReference();
  return status;
}

Subscription::Subscription(Subscription&& other) noexcept
    : core_(std::exchange(other.core_, nullptr)), next_(other.next_), lost_(other.lost_) {}
Subscription& Subscription::operator=(Subscription&& other) noexcept {
  std::swap(core_, other.core_);
  std::swap(next_, other.next_);
  std::swap(lost_, other.lost_);
  return *this;
}
Subscription::~Subscription() {
  if (core_ == nullptr) return;
  core_->Unsubscribe();
  std::exchange(core_, nullptr)->DropReference();
}
Result<Event> Subscription::Next(std::chrono::nanoseconds timeout) {
  if (core_ == nullptr) return Code::kClosed;
  return core_->NextEvent(*this, timeout);
}

}  // namespace lightning
