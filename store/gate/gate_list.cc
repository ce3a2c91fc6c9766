// The gates of this process: what an audit compares with, and what a filter protects.
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <mutex>

#include "store/gate/breach.h"
#include "store/gate/gate.h"

namespace lightning {
namespace {

struct List {
  // A child that is forked while another thread holds the mutex must not find it held for ever.
  List() {
    pthread_atfork([] { Get().mutex.lock(); }, [] { Get().mutex.unlock(); }, [] { Get().mutex.unlock(); });
  }
  static List& Get() {
    static List& list = *new List;  // gates may outlive every static object
    return list;
  }
  std::mutex mutex;
  std::vector<Gate*> gates;
  std::vector<Gate::Mappings> left;  // of gates that are gone, but whose mappings are sealed
};

Gate::Mappings::Range RangeOf(const void* begin, uint64_t size) {
  const auto address = reinterpret_cast<uint64_t>(begin);
  return {address, address + size};
}

}  // namespace

Gate::All::All() {
  List::Get().mutex.lock();
  for (const Gate* gate : List::Get().gates) mappings_.push_back(gate->Describe());
  mappings_.insert(mappings_.end(), List::Get().left.begin(), List::Get().left.end());
}

Gate::All::~All() { List::Get().mutex.unlock(); }

Gate::Mappings Gate::Describe() const {
  Mappings all;
  all.gate = this;
  all.mode = mode_;
  all.reserved = RangeOf(base() - guard_, size_ + 2 * guard_);
  all.control = RangeOf(base(), size_);
  for (const Exposed& exposed : exposed_)
    (exposed.settled ? all.exposed : all.moving).push_back(RangeOf(exposed.pages.data(), exposed.pages.size()));
  all.complete = complete_ && process_ == getpid();
  if (!complete_) return all;
  all.key = key_.value();
  all.view = RangeOf(view_, size_);
  if (spare_ != nullptr) all.spare = RangeOf(spare_, size_);
  all.windows = windows_.load(std::memory_order_relaxed);
  return all;
}

void Gate::Register() {
  process_ = getpid();
  const std::lock_guard lock(List::Get().mutex);
  List::Get().gates.push_back(this);
}

void Gate::Complete() {
  const std::lock_guard lock(List::Get().mutex);
  complete_ = true;
}

bool Gate::StartLeaving() {
  const std::lock_guard lock(List::Get().mutex);
  complete_ = false;
  return keep_addresses_;
}

void Gate::Unregister() {
  const std::lock_guard lock(List::Get().mutex);
  std::erase(List::Get().gates, this);
  if (sealed_) List::Get().left.push_back(Describe());
}

void Gate::NoteExposed(std::span<std::byte> pages) {
  const std::lock_guard lock(List::Get().mutex);
  exposed_.push_back({pages, false});
}

void Gate::SettleExposed(std::span<std::byte> pages, bool settled) {
  const std::lock_guard lock(List::Get().mutex);
  for (Exposed& exposed : exposed_) {
    if (exposed.pages.data() == pages.data()) exposed.settled = settled;
  }
}

void Gate::ForgetExposed(std::span<std::byte> pages) {
  const std::lock_guard lock(List::Get().mutex);
  // The oldest of the same place: it may have been given to another one already.
  const auto same = [&](const Exposed& exposed) { return exposed.pages.data() == pages.data() && !exposed.settled; };
  const auto found = std::find_if(exposed_.begin(), exposed_.end(), same);
  if (found != exposed_.end()) exposed_.erase(found);
}

void Gate::KeepAddresses() {
  const std::lock_guard lock(List::Get().mutex);
  for (Gate* gate : List::Get().gates) gate->keep_addresses_ = true;
}

Status Gate::BadEntry() const {
  const uint32_t rights = pkru::Read() >> (2 * key_.value()) & 3;
  // In a handler the rights are the kernel's initial ones, and come back with its end: nothing to take away.
  if (open_windows != 0 && (rights & 1) != 0) return ReportBreach(Breach::kReentered);
  open_windows = 0;
  pkru::Close(key_.value());
  return ReportBreach(Breach::kOpenRights);
}

}  // namespace lightning
