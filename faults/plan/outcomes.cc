#include "faults/plan/outcomes.h"

#include <algorithm>

#include "faults/plan/plan_words.h"
#include "faults/plan/playback.h"

namespace lightning::faults {

struct Outcomes::World {
  // One thing that has happened. A model cannot be copied, so a past is kept and played again.
  struct Happened {
    size_t client = 0;
    const PlanOperation* operation = nullptr;  // null: the client was killed
    size_t evictions = 0;                      // came first
    bool effect = true;
  };

  std::vector<Happened> past;
  Code code = Code::kOk;  // of the last operation

  Playback Play(const Plan& plan) const {
    Playback playback(plan);
    for (const Happened& happened : past) {
      playback.Evict(happened.evictions);
      if (happened.operation == nullptr) {
        playback.Die(happened.client);
      } else if (happened.effect) {
        playback.Apply(happened.client, *happened.operation);
      }
    }
    return playback;
  }
  World With(Happened happened, Code its = Code::kOk) const {
    World next = *this;
    next.past.push_back(happened);
    next.code = its;
    return next;
  }
};

size_t SteppedClient(const Plan& plan) {
  for (size_t i = plan.clients.size(); i-- > 0;) {
    if (!plan.clients[i].operations.empty()) return i;
  }
  return plan.clients.size();
}

bool IsKilledBefore(const Plan& plan, size_t client) {
  return client < SteppedClient(plan) && std::any_of(plan.kills.begin(), plan.kills.end(), [&](const PlanKill& kill) {
           return kill.client == plan.clients[client].name;
         });
}

Outcomes::~Outcomes() = default;

Outcomes::Outcomes(const Plan& plan) : plan_(plan), stepped_(SteppedClient(plan)) {
  World begin;
  for (size_t client = 0; client < plan_.clients.size(); ++client) {
    for (const PlanOperation& operation : plan_.clients[client].before)
      begin.past.push_back({client, &operation, 0, true});
  }
  worlds_ = {begin};
  for (size_t client = 0; client < stepped_; ++client) {
    const bool dies = IsKilledBefore(plan_, client);
    std::vector<World> dead;
    for (const PlanOperation& operation : plan_.clients[client].operations) {
      std::vector<World> next;
      for (const World& world : worlds_) {
        for (const World& inside : dies ? Inside(world, client, operation) : std::vector<World>())
          dead.push_back(inside.With({client, nullptr, 0, true}));
        for (World& after : After(world, client, operation)) next.push_back(std::move(after));
      }
      worlds_ = std::move(next);
      for (const NamedItem& item : operation.items) {
        if (dies && operation.action != Action::kList) touched_by_the_dead_.push_back(item.key);
      }
    }
    somebody_died_ |= dies;
    if (!dies) continue;
    for (const World& world : worlds_) dead.push_back(world.With({client, nullptr, 0, true}));
    worlds_ = std::move(dead);
  }
}

std::vector<Outcomes::World> Outcomes::Inside(const World& world, size_t client, const PlanOperation& operation) const {
  const Playback now = world.Play(plan_);
  const Operands operands = OperandsOf(operation.action);
  const bool fills = operands == Operands::kItem || operands == Operands::kBatch;
  size_t evictions = 0;
  if (operation.action == Action::kEvict) evictions = now.EvictionsFor(operation.amount);
  if (fills && plan_.segment.eviction == Eviction::kLru) evictions = now.evictable();
  std::vector<World> worlds;
  for (const bool effect : {false, true}) {
    if (effect && (operation.action == Action::kEvict || now.Predict(client, operation) != Code::kOk)) continue;
    for (size_t n = 0; n <= evictions; ++n) worlds.push_back(world.With({client, &operation, n, effect}));
  }
  return worlds;
}

std::vector<Outcomes::World> Outcomes::After(const World& world, size_t client, const PlanOperation& operation) const {
  const Playback now = world.Play(plan_);
  const Code code = now.Predict(client, operation);
  std::vector<World> worlds;
  if (operation.action == Action::kEvict) {
    worlds.push_back(world.With({client, &operation, now.EvictionsFor(operation.amount), false}));
    return worlds;
  }
  if (code != Code::kOk) {
    worlds.push_back(world.With({client, &operation, 0, false}, code));
    return worlds;
  }
  for (const World& inside : Inside(world, client, operation)) {
    Code full = Code::kOk;
    if (inside.past.back().effect) {
      worlds.push_back(inside);
    } else if (world.Play(plan_).MayBeFull(operation, &full)) {
      worlds.push_back(inside.With({client, nullptr, 0, true}, full));
      worlds.back().past.pop_back();
    }
  }
  // Check promises nothing while a dead client's work lies about.
  if (operation.action == Action::kCheck && somebody_died_)
    worlds.push_back(world.With({client, &operation, 0, true}, Code::kCorrupt));
  if (operation.action == Action::kNextEvent) {
    // Nothing is there yet, or too much was.
    worlds.push_back(world.With({client, &operation, 0, true}, Code::kTimeout));
    worlds.push_back(world.With({client, &operation, 0, true}, Code::kFellBehind));
  }
  return worlds;
}

Expectation Outcomes::Next() const {
  const PlanOperation& operation = plan_.clients[stepped_].operations.at(next_);
  Expectation expectation;
  expectation.touched = touched_by_the_dead_;
  for (const NamedItem& item : operation.items) {
    if (operation.action != Action::kList) expectation.touched.push_back(item.key);
  }
  for (const bool effect : {false, true}) {
    for (const World& world : worlds_) {
      const uint64_t events = world.Play(plan_).events();
      for (const World& inside : Inside(world, stepped_, operation)) {
        if (inside.past.back().effect != effect) continue;
        const Playback then = inside.Play(plan_);
        Possible possible{then.content(), somebody_died_ ? -1 : static_cast<int64_t>(then.events() - events)};
        const bool known = std::any_of(expectation.allowed.begin(), expectation.allowed.end(),
                                       [&](const Possible& its) { return its.content == possible.content; });
        if (!known) expectation.allowed.push_back(std::move(possible));
      }
    }
  }
  for (const World& world : worlds_) {
    for (const World& after : After(world, stepped_, operation))
      expectation.endings.push_back({after.code, after.Play(plan_).content()});
  }
  return expectation;
}

void Outcomes::Ended(Code code, const Content& content) {
  const PlanOperation& operation = plan_.clients[stepped_].operations.at(next_++);
  std::vector<World> left;
  for (const World& world : worlds_) {
    for (World& after : After(world, stepped_, operation)) {
      if (after.code == code && after.Play(plan_).content() == content) left.push_back(std::move(after));
    }
  }
  worlds_ = std::move(left);
}

}  // namespace lightning::faults
