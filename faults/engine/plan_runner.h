// Does what a plan says of one client, through the store's interface.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "faults/check/image_checker.h"
#include "faults/plan/plan.h"
#include "lightning/client.h"

namespace lightning::faults {

class PlanRunner {
 public:
  // All values are made here, so that what runs later is the store's and not the harness's. `client` must live on.
  PlanRunner(Store store, const PlanClient& client);
  // With a client that is attached already, and cannot attach again.
  PlanRunner(Client attached, const PlanClient& client) : PlanRunner(Store(), client) {
    attached_.emplace(std::move(attached));
  }

  // Attaches, unless the client's first operation does, and does what it does before anything is counted. Operations
  // that the store refuses are left out, as the model leaves them out.
  Status Begin();
  // One operation; kClosed for one on what this client does not have (a pin, a writer, a subscription).
  Code Do(size_t operation) { return Do(client_.operations[operation], operations_[operation]); }
  // Afterwards, and apart so that it need not be stepped: what the operation gave is kept for later ones.
  void Settle(size_t operation) { Settle(client_.operations[operation]); }

  // What it holds now. `plan`: says which values have pages of their own.
  std::vector<PinnedObject> Pinned(const Plan& plan) const;
  std::vector<NamedItem> Reserved() const;
  // Null when it is not attached.
  Client* client() { return attached_ ? &*attached_ : nullptr; }

 private:
  struct Prepared {
    std::vector<std::string> values, metadata;
    std::vector<BatchItem> items;
  };
  static Prepared Prepare(const PlanOperation& operation);
  Code Do(const PlanOperation& operation, const Prepared& prepared);
  Code Write(const PlanOperation& operation, const Prepared& prepared);
  Code Create(const PlanOperation& operation, const Prepared& prepared);
  Code Read(const PlanOperation& operation);
  Code End(const PlanOperation& operation);
  void Settle(const PlanOperation& operation);

  Store store_;
  const PlanClient& client_;
  std::vector<Prepared> before_, operations_;
  std::optional<Client> attached_;
  std::map<std::string, std::deque<Handle>> handles_;
  std::map<std::string, Writer> writers_;
  std::map<std::string, Item> reserved_;
  std::map<std::string, uint64_t> versions_;
  std::deque<Subscription> subscriptions_;
  // Of the last operation.
  Code code_ = Code::kOk;
  std::vector<uint64_t> made_;  // versions
  std::optional<Handle> handle_;
  std::optional<Writer> writer_;
  std::optional<Subscription> subscription_;
};

}  // namespace lightning::faults
