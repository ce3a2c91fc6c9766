// What the process of the stray stores and the one that judges them both see. No part of the segment; what was counted
// outlives the process that counted it.
#pragma once

#include <atomic>
#include <cstdint>

#include "faults/engine/stray_shots.h"

namespace lightning::faults {

// Where a stray store goes.
enum class StrayTarget : uint32_t {
  kAimed,     // a word of the store's state or of a value, by name, through a control mapping
  kAnywhere,  // any word of a control mapping
  kView,      // any word of a view, which is read-only
  kNear,      // just outside a control mapping: an overrun
  kWild,      // any address at all, but for the process's own memory
  kPrivate,   // the process's own memory
};
inline constexpr uint32_t kStrayTargets = 6;
inline constexpr const char* kStrayTargetNames[kStrayTargets] = {"aimed", "anywhere", "view",
                                                                 "near",  "wild",     "private"};

inline constexpr uint32_t kMostWorkers = 4, kMostFirers = 4;
inline constexpr uint32_t kKeptLandings = 32, kOpenShots = 64;
// The upper half of every word that a stray store writes.
inline constexpr uint64_t kStrayMark = 0x5BAD'57A7'0000'0000, kStrayMarkBits = 0xFFFF'FFFF'0000'0000;

// By what came of them: one that was under way when its process died is not counted.
struct StrayCount {
  std::atomic<uint64_t> faulted, in_private;
  std::atomic<uint64_t> in_window;  // landed in the segment, while the client whose mapping it was had a window open
  std::atomic<uint64_t> outside;    // landed in the segment, while it had none
  std::atomic<uint64_t> during;     // of all of these: while a client of the process was in an operation
  uint64_t landed() const { return in_window.load() + outside.load(); }
};

// What a worker is at; `activity` is odd inside an operation.
enum class StrayOperation : uint32_t { kGet, kPut, kDelete, kCreate };
struct StrayLane {
  std::atomic<uint64_t> activity;
  std::atomic<StrayOperation> operation;
  std::atomic<uint32_t> key;
};

struct StrayLanding {
  StrayTarget target;
  ShotKind kind;
  uint32_t client;
  bool through_view, in_window;
  uint64_t address, offset;
  struct {
    uint64_t activity;  // when the store had been fired
    uint64_t windows;   // odd: its last window was open
    StrayOperation operation;
    uint32_t key;
  } lanes[kMostWorkers];
};

enum class StrayCommand : uint32_t { kOpenDoors, kRest, kWork };

// A store that is meant to land: through a window, or through a mapping that somebody forgot.
struct OpenShot {
  bool through_window;
  ShotKind kind;
  uint64_t offset, value;
};

struct StrayBoard {
  // The judge writes a command and raises `asked`; the other answers with the same number.
  StrayCommand command;
  uint32_t quota;  // shots of each thread
  std::atomic<uint64_t> asked, answered;
  std::atomic<uint64_t> operations;
  char error[200];  // it could not begin
  std::atomic<bool> wrong;
  char worker_error[200];  // a worker saw something that must not be
  uint32_t open_shots;
  OpenShot shots[kOpenShots];
  std::atomic<uint32_t> landings;
  StrayLanding kept[kKeptLandings];
  std::atomic<bool> has_outside;
  StrayLanding outside;  // the first that landed outside of any window of its client
  StrayLane lanes[kMostWorkers];
  StrayCount counts[kMostFirers][kStrayTargets];
};

}  // namespace lightning::faults
