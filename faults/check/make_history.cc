#include "faults/check/make_history.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <queue>

#include "faults/check/json_line.h"
#include "faults/model/random.h"

namespace lightning::faults {
namespace {

using Kind = RegisterKind;
using Answer = RegisterAnswer;

// A store that does each operation at one instant, in the order of the instants.
class Generator {
 public:
  Generator(const HistorySettings& settings, HistoryFile* file)
      : settings_(settings), file_(*file), random_(settings.seed), content_(settings.keys) {
    file_ = {};
    file_.values.Id("null");
    for (uint64_t key = 0; key < settings.keys; ++key) file_.keys.Id(QuoteJson(fmt::format("k{}", key)));
  }

  void Run() {
    for (uint64_t client = 0; client < settings_.clients; ++client) Call(NewClient(), random_.Below(100));
    while (file_.operations.size() < settings_.operations) {
      Pending pending = calls_.top();
      calls_.pop();
      RegisterOperation& o = pending.operation;
      const bool interrupted = random_.Percent(settings_.interrupted_percent);
      if (!interrupted || random_.Percent(50)) Happen(&o);
      if (interrupted) {
        o.answer = Answer::kNone;
        if (o.kind == Kind::kGet) o.value = kAbsent;
      } else {
        o.ret = pending.instant + random_.Below(100);
      }
      file_.operations.push_back(o);
      file_.lines.push_back(file_.operations.size());
      const uint64_t after = interrupted ? pending.instant + 100 : o.ret;
      Call(interrupted ? NewClient() : o.client, after + 1 + random_.Below(50));
    }
  }

 private:
  struct Pending {
    uint64_t instant = 0;
    RegisterOperation operation;
    bool operator<(const Pending& other) const { return instant > other.instant; }  // the earliest on top
  };

  uint32_t NewClient() { return file_.clients.Id(QuoteJson(fmt::format("c{}", file_.clients.size()))); }

  uint64_t NewValue() {
    const uint64_t number = settings_.values == 0 ? ++written_ : random_.Between(1, settings_.values);
    return file_.values.Id(QuoteJson(fmt::format("v{}", number)));
  }

  void Call(uint32_t client, uint64_t at) {
    RegisterOperation o;
    o.client = client;
    o.key = random_.Below(settings_.keys);
    o.call = at;
    const uint64_t what = random_.Below(100);
    o.kind = what < 50   ? Kind::kGet
             : what < 55 ? Kind::kContains
             : what < 75 ? Kind::kPut
             : what < 90 ? Kind::kReplace
                         : Kind::kDelete;
    if (o.kind == Kind::kPut || o.kind == Kind::kReplace) o.value = NewValue();
    if (o.kind == Kind::kReplace) o.expected = content_[o.key];
    calls_.push({at + random_.Below(100), o});
  }

  void Happen(RegisterOperation* o) {
    uint64_t& value = content_[o->key];
    const bool there = value != kAbsent;
    switch (o->kind) {
      case Kind::kGet:
        o->value = value;
        break;
      case Kind::kContains:
        o->answer = there ? Answer::kYes : Answer::kNo;
        break;
      case Kind::kPut:
        value = o->value;
        break;
      case Kind::kReplace:
        o->answer = value == o->expected ? Answer::kYes : Answer::kNo;
        if (o->answer == Answer::kYes) value = o->value;
        break;
      case Kind::kDelete:
        o->answer = there ? Answer::kYes : Answer::kNo;
        value = kAbsent;
        break;
    }
  }

  const HistorySettings settings_;
  HistoryFile& file_;
  Random random_;
  std::vector<uint64_t> content_;  // by key
  uint64_t written_ = 0;
  std::priority_queue<Pending> calls_;
};

// --- Planting: one answer is changed to one that is certainly wrong, since every value was written once.

bool Before(const RegisterOperation& a, const RegisterOperation& b) { return a.Returned() && a.ret < b.call; }
bool Replaced(const RegisterOperation& o) { return o.kind == Kind::kReplace && o.answer == Answer::kYes; }
bool Wrote(const RegisterOperation& o) { return o.Returned() && (o.kind == Kind::kPut || Replaced(o)); }
bool SawValue(const RegisterOperation& o) { return o.kind == Kind::kGet && o.Returned() && o.value != kAbsent; }

// Each tries the operations of one key, and the second half of them first, so that something came before.
using Plant = bool (*)(std::span<RegisterOperation*> its);

// Calls try_one for each operation from the middle on, and then for the others.
bool Anywhere(std::span<RegisterOperation*> its, const std::function<bool(RegisterOperation*)>& try_one) {
  const auto middle = its.begin() + static_cast<std::ptrdiff_t>(its.size() / 2);
  return std::any_of(middle, its.end(), try_one) || std::any_of(its.begin(), middle, try_one);
}

// A get sees a value that was replaced before it was called.
bool StaleRead(std::span<RegisterOperation*> its) {
  return Anywhere(its, [&](RegisterOperation* get) {
    if (!SawValue(*get)) return false;
    for (const RegisterOperation* newer : its) {
      if (!Wrote(*newer) || !Before(*newer, *get)) continue;
      for (const RegisterOperation* older : its) {
        if (!Wrote(*older) || !Before(*older, *newer)) continue;
        get->value = older->value;
        return true;
      }
    }
    return false;
  });
}

// A get sees the value that a replace had taken away before.
bool LostUpdate(std::span<RegisterOperation*> its) {
  return Anywhere(its, [&](RegisterOperation* get) {
    if (!SawValue(*get)) return false;
    for (const RegisterOperation* replace : its) {
      if (!Replaced(*replace) || replace->expected == kAbsent || !Before(*replace, *get)) continue;
      get->value = replace->expected;
      return true;
    }
    return false;
  });
}

// A get sees what an interrupted delete had done, and a later one that it was not done after all.
bool DirtyDelete(std::span<RegisterOperation*> its) {
  return Anywhere(its, [&](RegisterOperation* deletes) {
    if (deletes->kind != Kind::kDelete || deletes->Returned()) return false;
    for (const RegisterOperation* put : its) {
      if (!Wrote(*put)) continue;
      for (RegisterOperation* first : its) {
        if (!SawValue(*first) || first->value != put->value || !Before(*put, *first) || first->call < deletes->call)
          continue;
        for (const RegisterOperation* second : its) {
          if (!SawValue(*second) || second->value != put->value || !Before(*first, *second)) continue;
          first->value = kAbsent;
          return true;
        }
      }
    }
    return false;
  });
}

// A get sees what is put only after it returned.
bool FutureRead(std::span<RegisterOperation*> its) {
  return Anywhere(its, [&](RegisterOperation* get) {
    if (!SawValue(*get)) return false;
    const auto put =
        std::find_if(its.begin(), its.end(), [&](RegisterOperation* o) { return Wrote(*o) && Before(*get, *o); });
    if (put == its.end()) return false;
    get->value = (*put)->value;
    return true;
  });
}

// Two replaces took away the same value.
bool DoubleReplace(std::span<RegisterOperation*> its) {
  return Anywhere(its, [&](RegisterOperation* second) {
    if (!Replaced(*second)) return false;
    for (const RegisterOperation* first : its) {
      if (first == second || !Replaced(*first) || first->expected == kAbsent || first->expected == second->expected)
        continue;
      second->expected = first->expected;
      return true;
    }
    return false;
  });
}

constexpr std::array<std::string_view, 5> kPlantNames = {"stale-read", "lost-update", "dirty-delete", "future-read",
                                                         "double-replace"};
constexpr std::array<Plant, 5> kPlants = {StaleRead, LostUpdate, DirtyDelete, FutureRead, DoubleReplace};

}  // namespace

std::span<const std::string_view> PlantNames() { return kPlantNames; }

bool MakeHistory(const HistorySettings& settings, HistoryFile* file, std::string* error) {
  Generator(settings, file).Run();
  if (settings.plant.empty()) return true;
  const auto name = std::find(kPlantNames.begin(), kPlantNames.end(), settings.plant);
  if (name == kPlantNames.end()) {
    *error = fmt::format("no such violation: {}; there are {}", settings.plant, JoinNames(kPlantNames));
    return false;
  }
  if (settings.values != 0) {
    *error = "a violation needs values of their own: an equal one could excuse it";
    return false;
  }
  std::map<uint64_t, std::vector<RegisterOperation*>> keys;
  for (RegisterOperation& o : file->operations) keys[o.key].push_back(&o);
  const Plant plant = kPlants[static_cast<size_t>(name - kPlantNames.begin())];
  if (std::any_of(keys.begin(), keys.end(), [&](auto& key) { return plant(key.second); })) return true;
  *error = fmt::format("no place for a {} in so short a history; try more --operations or another --seed", *name);
  return false;
}

}  // namespace lightning::faults
