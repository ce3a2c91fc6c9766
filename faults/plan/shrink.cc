#include "faults/plan/shrink.h"

#include <algorithm>
#include <chrono>

#include "faults/plan/plan_segment.h"

namespace lightning::faults {
namespace {

using Clock = std::chrono::steady_clock;

class Shrinker {
 public:
  Shrinker(const Plan& plan, const TryPlan& attempt, double seconds)
      : best_(plan),
        attempt_(attempt),
        end_(Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds))) {}

  Plan Run() {
    // Again and again, since each part that goes may let others go.
    for (bool smaller = true; smaller && !Over();) {
      smaller = false;
      smaller |= DropParts([](Plan & plan) -> auto& { return plan.recoverers; });
      smaller |= DropParts([](Plan & plan) -> auto& { return plan.stops; });
      smaller |= DropParts([](Plan & plan) -> auto& { return plan.strays; });
      smaller |= DropParts([](Plan & plan) -> auto& { return plan.kills; });
      smaller |= DropClients();
      for (size_t client = 0; client < best_.clients.size(); ++client) {
        smaller |= DropParts([client](Plan & plan) -> auto& { return plan.clients[client].operations; });
        smaller |= DropParts([client](Plan & plan) -> auto& { return plan.clients[client].before; });
      }
      smaller |= DropParts([](Plan & plan) -> auto& { return plan.schedule.steps; });
      smaller |= SmallerSegment();
      smaller |= SmallerItems();
    }
    return best_;
  }

 private:
  bool Over() const { return Clock::now() >= end_; }

  bool Try(const Plan& plan) {
    // No such plan: somebody has to live, and the segment's numbers have to fit together.
    if (!plan.recoverers.empty() && plan.recoverers.back().killed) return false;
    if (!SegmentOptions(plan.segment).ok()) return false;
    std::optional<Plan> failed = attempt_(plan);
    if (!failed) return false;
    best_ = std::move(*failed);
    return true;
  }

  // Leaves out halves, quarters, ... single ones of what `of` names.
  template <typename Of>
  bool DropParts(Of of) {
    bool smaller = false;
    for (size_t some = std::max<size_t>(1, of(best_).size() / 2); some >= 1 && !Over(); some /= 2) {
      for (size_t at = 0; at < of(best_).size() && !Over();) {
        Plan plan = best_;
        auto& parts = of(plan);
        const auto first = parts.begin() + static_cast<std::ptrdiff_t>(at);
        parts.erase(first, first + static_cast<std::ptrdiff_t>(std::min(some, parts.size() - at)));
        if (Try(plan)) {
          smaller = true;
        } else {
          at += some;
        }
      }
    }
    return smaller;
  }

  bool DropClients() {
    bool smaller = false;
    for (uint32_t client = 0; client < best_.clients.size() && best_.clients.size() > 1 && !Over();) {
      Plan plan = best_;
      const std::string name = plan.clients[client].name;
      plan.clients.erase(plan.clients.begin() + client);
      const auto its = [&](const auto& part) { return part.client == name; };
      std::erase_if(plan.kills, its);
      std::erase_if(plan.stops, its);
      std::erase_if(plan.strays, its);
      std::erase_if(plan.schedule.steps, [&](const ScheduleStep& step) { return step.client == client; });
      for (ScheduleStep& step : plan.schedule.steps) step.client -= step.client > client ? 1 : 0;
      if (Try(plan)) {
        smaller = true;
      } else {
        ++client;
      }
    }
    return smaller;
  }

  // A number to its least, or half way there, and again from where that leads.
  template <typename Of>
  bool Lower(Of of, uint64_t least) {
    bool smaller = false;
    for (bool lower = true; lower && of(best_) > least && !Over();) {
      lower = false;
      const uint64_t now = of(best_);
      for (const uint64_t next : {least, least + (now - least) / 2}) {
        if (next >= of(best_)) continue;
        Plan plan = best_;
        auto& number = of(plan);
        number = static_cast<std::remove_reference_t<decltype(number)>>(next);
        if (Try(plan)) {
          lower = smaller = true;
          break;
        }
      }
    }
    return smaller;
  }

  bool SmallerSegment() {
    bool smaller = false;
    smaller |= Lower(
        [](Plan & plan) -> auto& { return plan.segment.max_objects; }, 1);
    smaller |= Lower(
        [](Plan & plan) -> auto& { return plan.segment.max_clients; }, 2);
    smaller |= Lower(
        [](Plan & plan) -> auto& { return plan.segment.max_pins; }, 1);
    smaller |= Lower(
        [](Plan & plan) -> auto& { return plan.segment.event_slots; }, 1);
    smaller |= Lower(
        [](Plan & plan) -> auto& { return plan.segment.heap; }, kLeastHeap);
    return smaller;
  }

  template <typename Of>
  bool SmallerItemsOf(size_t client, Of of) {
    bool smaller = false;
    for (size_t operation = 0; operation < of(best_.clients[client]).size(); ++operation) {
      // `create ... pages` and its size belong together.
      for (size_t item = 0; item < of(best_.clients[client])[operation].items.size(); ++item) {
        const auto at = [=](Plan& plan) -> Item& { return of(plan.clients[client])[operation].items[item].item; };
        if (at(best_).whole_pages) continue;
        smaller |= Lower(
            [=](Plan & plan) -> auto& { return at(plan).size; }, 0);
        smaller |= Lower(
            [=](Plan & plan) -> auto& { return at(plan).metadata_size; }, 0);
      }
    }
    return smaller;
  }

  bool SmallerItems() {
    bool smaller = false;
    for (size_t client = 0; client < best_.clients.size(); ++client) {
      smaller |= SmallerItemsOf(
          client, [](PlanClient & its) -> auto& { return its.operations; });
      smaller |= SmallerItemsOf(
          client, [](PlanClient & its) -> auto& { return its.before; });
    }
    return smaller;
  }

  static constexpr uint64_t kLeastHeap = 4096;  // bytes

  Plan best_;
  const TryPlan& attempt_;
  const Clock::time_point end_;
};

}  // namespace

Plan Shrink(const Plan& plan, const TryPlan& attempt, double seconds) { return Shrinker(plan, attempt, seconds).Run(); }

}  // namespace lightning::faults
