// The words of the text form, for parser and printer alike.
#pragma once

#include <array>
#include <string_view>

#include "faults/plan/plan.h"

namespace lightning::faults {

template <typename T>
struct PlanWord {
  std::string_view word;
  T value;
};

inline constexpr std::string_view kPlanFirstLine = "lightning plan 1";

inline constexpr std::array<PlanWord<Engine>, 4> kEngineWords = {
    {{"any", Engine::kAny}, {"step", Engine::kStep}, {"sim", Engine::kSim}, {"real", Engine::kReal}}};

inline constexpr std::array<PlanWord<Eviction>, 2> kEvictionWords = {
    {{"none", Eviction::kNone}, {"lru", Eviction::kLru}}};

inline constexpr std::array<PlanWord<Isolation>, 5> kIsolationWords = {{{"none", Isolation::kNone},
                                                                        {"hidden", Isolation::kHidden},
                                                                        {"mprotect", Isolation::kMprotect},
                                                                        {"keys", Isolation::kKeys},
                                                                        {"auto", Isolation::kAuto}}};

inline constexpr std::array<PlanWord<Action>, 20> kActionWords = {{{"put", Action::kPut},
                                                                   {"replace", Action::kReplace},
                                                                   {"batch", Action::kPutBatch},
                                                                   {"create", Action::kCreate},
                                                                   {"seal", Action::kSeal},
                                                                   {"abort", Action::kAbort},
                                                                   {"get", Action::kGet},
                                                                   {"pin", Action::kPin},
                                                                   {"unpin", Action::kUnpin},
                                                                   {"contains", Action::kContains},
                                                                   {"delete", Action::kDelete},
                                                                   {"list", Action::kList},
                                                                   {"evict", Action::kEvict},
                                                                   {"subscribe", Action::kSubscribe},
                                                                   {"unsubscribe", Action::kUnsubscribe},
                                                                   {"recover", Action::kRecover},
                                                                   {"next-event", Action::kNextEvent},
                                                                   {"check", Action::kCheck},
                                                                   {"attach", Action::kAttach},
                                                                   {"detach", Action::kDetach}}};

// What stands behind an operation's word.
enum class Operands : uint8_t { kNone, kKey, kPrefix, kItem, kBatch, kBytes };
constexpr Operands OperandsOf(Action action) {
  switch (action) {
    case Action::kPut:
    case Action::kReplace:
    case Action::kCreate:
      return Operands::kItem;
    case Action::kPutBatch:
      return Operands::kBatch;
    case Action::kSeal:
    case Action::kAbort:
    case Action::kGet:
    case Action::kPin:
    case Action::kUnpin:
    case Action::kContains:
    case Action::kDelete:
      return Operands::kKey;
    case Action::kList:
      return Operands::kPrefix;
    case Action::kEvict:
      return Operands::kBytes;
    case Action::kSubscribe:
    case Action::kUnsubscribe:
    case Action::kNextEvent:
    case Action::kRecover:
    case Action::kCheck:
    case Action::kAttach:
    case Action::kDetach:
      break;
  }
  return Operands::kNone;
}

inline constexpr std::array<PlanWord<Moment::Unit>, 12> kUnitWords = {{{"instruction", Moment::kInstruction},
                                                                       {"store", Moment::kStore},
                                                                       {"point", Moment::kPoint},
                                                                       {"log-entry", Moment::kLogEntry},
                                                                       {"log-count", Moment::kLogCount},
                                                                       {"commit", Moment::kCommit},
                                                                       {"lock", Moment::kLock},
                                                                       {"unlock", Moment::kUnlock},
                                                                       {"pin", Moment::kPin},
                                                                       {"unpin", Moment::kUnpin},
                                                                       {"claim", Moment::kClaim},
                                                                       {"release", Moment::kRelease}}};

inline constexpr std::array<PlanWord<Region>, 10> kRegionWords = {{{"superblock", Region::kSuperblock},
                                                                   {"central", Region::kCentral},
                                                                   {"slot", Region::kSlot},
                                                                   {"log", Region::kLog},
                                                                   {"bucket", Region::kBucket},
                                                                   {"object", Region::kObject},
                                                                   {"block", Region::kBlock},
                                                                   {"event", Region::kEvent},
                                                                   {"page", Region::kPage},
                                                                   {"heap", Region::kHeap}}};
constexpr bool HasIndex(Region region) {
  return region != Region::kSuperblock && region != Region::kCentral && region != Region::kHeap;
}

inline constexpr std::array<PlanWord<Schedule::Strategy>, 5> kStrategyWords = {{{"sequential", Schedule::kSequential},
                                                                                {"exhaustive", Schedule::kExhaustive},
                                                                                {"pct", Schedule::kPct},
                                                                                {"random", Schedule::kRandom},
                                                                                {"replay", Schedule::kReplay}}};

inline constexpr std::array<PlanWord<Memory>, 2> kMemoryWords = {{{"tso", Memory::kTso}, {"sc", Memory::kSc}}};

template <typename T, size_t kCount>
constexpr std::string_view WordOf(const std::array<PlanWord<T>, kCount>& words, T value) {
  for (const PlanWord<T>& word : words) {
    if (word.value == value) return word.word;
  }
  return "?";
}

}  // namespace lightning::faults
