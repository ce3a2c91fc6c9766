// The parts of a sequence that are about clients and their subscriptions.
#include <fmt/format.h>

#include <algorithm>

#include "faults/engine/sequence_runner.h"

namespace lightning::faults {
namespace {

// What a dead client had in its process. Never destroyed, since the dead give nothing back; still reachable, so that a
// leak checker says nothing.
struct Grave {
  Client client;
  std::vector<Handle> handles;
  std::vector<Writer> writers;
  std::vector<Subscription> subscriptions;
};
std::vector<std::unique_ptr<Grave>>& Graveyard() {
  static auto* graves = new std::vector<std::unique_ptr<Grave>>;
  return *graves;
}

}  // namespace

std::string SequenceRunner::Attach(uint32_t index) {
  Result<Client> client = target_.Attach();
  if (!client.ok()) return Unexpected("attaching", client.status());
  Seat& seat = seats_[index];
  seat.client.emplace(std::move(*client));
  seat.closed = false;
  seat.references = 0;
  seat.identity = ++identities_;
  return "";
}

void SequenceRunner::DropReference(uint32_t index) {
  Seat& seat = seats_[index];
  if (--seat.references != 0 || !seat.closed) return;
  model_.Forget(seat.identity);
  seat.client.reset();
}

std::string SequenceRunner::Close(Seat& seat, uint32_t index) {
  subscriptions_.remove_if([&](const HeldSubscription& its) { return its.seat == index; });
  model_.set_subscribers(static_cast<uint32_t>(subscriptions_.size()));
  seat.client->Close();
  seat.closed = true;
  if (seat.references == 0) {
    model_.Forget(seat.identity);
    seat.client.reset();
  }
  return "";
}

std::string SequenceRunner::Die(Seat& seat, uint32_t index) {
  World* world = target_.world();
  if (world == nullptr) return "";
  world->dead[SlotOf(*seat.client)] = true;
  auto grave = std::make_unique<Grave>(Grave{std::move(*seat.client), {}, {}, {}});
  for (auto at = handles_.begin(); at != handles_.end();) {
    const auto next = std::next(at);
    if (at->seat == index) {
      model_.Unpin(at->object);
      grave->handles.push_back(std::move(at->handle));
      handles_.erase(at);
    }
    at = next;
  }
  for (auto at = writers_.begin(); at != writers_.end();) {
    const auto next = std::next(at);
    if (at->seat == index) {
      grave->writers.push_back(std::move(at->writer));
      writers_.erase(at);
    }
    at = next;
  }
  for (auto at = subscriptions_.begin(); at != subscriptions_.end();) {
    const auto next = std::next(at);
    if (at->seat == index) {
      grave->subscriptions.push_back(std::move(at->subscription));
      subscriptions_.erase(at);
    }
    at = next;
  }
  model_.set_subscribers(static_cast<uint32_t>(subscriptions_.size()));
  Graveyard().push_back(std::move(grave));
  model_.Forget(seat.identity);
  seat.client.reset();
  // Somebody who lives heals it: one who is there, or one who comes.
  uint32_t healer = index;
  for (uint32_t i = 0; i < seats_.size(); ++i) {
    if (seats_[i].client.has_value() && !seats_[i].closed) healer = i;
  }
  if (healer == index) {
    std::string error = Attach(index);
    if (!error.empty()) return error;
  }
  const Result<RecoveryReport> report = seats_[healer].client->Recover();
  if (!report.ok()) return Unexpected("Recover after a death", report.status());
  return JudgeStats(seats_[healer], /*recovered=*/true);
}

std::string SequenceRunner::Subscribe(Seat& seat, uint32_t index) {
  if (subscriptions_.size() >= 3) return "";
  Result<Subscription> subscription = seat.client->Subscribe();
  if (!subscription.ok()) return Unexpected("Subscribe", subscription.status());
  subscriptions_.push_back({std::move(*subscription), index, model_.event_head(), 0});
  model_.set_subscribers(static_cast<uint32_t>(subscriptions_.size()));
  return "";
}

std::string SequenceRunner::Unsubscribe(const Operation& operation) {
  if (subscriptions_.empty()) return "";
  auto at = subscriptions_.begin();
  std::advance(at, static_cast<std::ptrdiff_t>(operation.choice % subscriptions_.size()));
  subscriptions_.erase(at);
  model_.set_subscribers(static_cast<uint32_t>(subscriptions_.size()));
  return "";
}

std::string SequenceRunner::NextEvent(const Operation& operation) {
  if (subscriptions_.empty()) return "";
  auto at = subscriptions_.begin();
  std::advance(at, static_cast<std::ptrdiff_t>(operation.choice % subscriptions_.size()));
  const Result<Event> event = at->subscription.Next(std::chrono::nanoseconds(0));
  const uint64_t head = model_.event_head(), capacity = model_.limits().event_slots;
  if (at->next == head)
    return event.code() == Code::kTimeout ? "" : Unexpected("Next with nothing to come", event.status());
  if (head - at->next > capacity) {
    at->lost += head - capacity - at->next;
    at->next = head - capacity;
    if (event.code() != Code::kFellBehind) return Unexpected("Next of one who fell behind", event.status());
    return at->subscription.lost() == at->lost ? "" : "a subscriber does not know how many events it lost";
  }
  if (event.code() == Code::kFellBehind && at->next < unsure_before_) {
    ++at->next;
    ++at->lost;
    return at->subscription.lost() == at->lost ? "" : "a subscriber does not know how many events it lost";
  }
  if (!event.ok()) return Unexpected("Next", event.status());
  const Event& expected = model_.event(at->next++);
  model_.ForgetEventsBefore(head > 2 * capacity ? head - 2 * capacity : 0);
  if (event->sequence != expected.sequence || event->kind != expected.kind || event->key != expected.key ||
      event->version != expected.version || event->size != expected.size)
    return fmt::format("event {} is {} of {} version {} instead of event {}, {} of {} version {}", event->sequence,
                       EventKindName(event->kind), ShowKey(event->key), event->version, expected.sequence,
                       EventKindName(expected.kind), ShowKey(expected.key), expected.version);
  return "";
}

}  // namespace lightning::faults
