// YCSB on the two sides: a floor and a store that answer the same few calls, and one loop for both.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bench/driver.h"
#include "bench/floor_seqlock.h"
#include "bench/shared_area.h"
#include "bench/workload.h"
#include "lightning/client.h"

namespace lightning::bench {

enum Side : uint32_t { kFloor = 0, kStore = 1, kSides = 2 };

enum class Outcome : uint8_t { kDone, kMissing, kTorn, kError };

// One side, as one process sees it. Each call reads or writes all bytes of the value.
class FloorSide {
 public:
  FloorSide(SeqlockTable table, const KeyTable* keys) : table_(table), keys_(keys) {}

  Outcome Read(uint32_t index, uint64_t* stamp) {
    bool whole = false;
    const auto* record = table_.Find((*keys_)[index]);
    const bool present =
        SeqlockTable::Read(record, [&](const void* value) { whole = CheckValue(value, index, stamp); });
    return !present ? Outcome::kMissing : whole ? Outcome::kDone : Outcome::kTorn;
  }
  Outcome Write(uint32_t index, uint64_t stamp) {
    FillValue(buffer_.words, stamp);
    SeqlockTable::Write(table_.Find((*keys_)[index]), buffer_.words);
    return Outcome::kDone;
  }
  // Adds one to the stamp's lower part.
  Outcome Increment(uint32_t index) {
    bool whole = false;
    const bool present = SeqlockTable::Modify(table_.Find((*keys_)[index]), [&](const void* old) {
      uint64_t stamp = 0;
      whole = CheckValue(old, index, &stamp);
      FillValue(buffer_.words, MakeStamp(index, stamp + 1));
      return buffer_.words;
    });
    return !present ? Outcome::kMissing : whole ? Outcome::kDone : Outcome::kTorn;
  }
  Outcome Erase(uint32_t index) {
    return SeqlockTable::Erase(table_.Find((*keys_)[index])) ? Outcome::kDone : Outcome::kMissing;
  }
  std::string error() const { return {}; }

 private:
  SeqlockTable table_;
  const KeyTable* keys_;
  Value buffer_;
};

class StoreSide {
 public:
  StoreSide(Client client, const KeyTable* keys) : client_(std::move(client)), keys_(keys) {}

  Outcome Read(uint32_t index, uint64_t* stamp) {
    const Result<Handle> handle = client_.Get((*keys_)[index]);
    if (!handle.ok()) return Judge(handle.status());
    return handle->size() == kValueSize && CheckValue(handle->data(), index, stamp) ? Outcome::kDone : Outcome::kTorn;
  }
  Outcome Write(uint32_t index, uint64_t stamp) {
    FillValue(buffer_.words, stamp);
    const Result<uint64_t> version = client_.Put((*keys_)[index], std::as_bytes(std::span(buffer_.words)));
    return version.ok() ? Outcome::kDone : Judge(version.status());
  }
  Outcome Increment(uint32_t index) {
    for (;;) {
      uint64_t stamp = 0, version = 0;
      {
        const Result<Handle> handle = client_.Get((*keys_)[index]);
        if (!handle.ok()) return Judge(handle.status());
        version = handle->version();
        if (handle->size() != kValueSize || !CheckValue(handle->data(), index, &stamp)) return Outcome::kTorn;
      }
      FillValue(buffer_.words, MakeStamp(index, stamp + 1));
      const auto replaced = client_.Replace((*keys_)[index], std::as_bytes(std::span(buffer_.words)), version);
      if (replaced.ok()) return Outcome::kDone;
      if (replaced.code() != Code::kVersionMismatch) return Judge(replaced.status());
    }
  }
  Outcome Erase(uint32_t index) {
    const Status status = client_.Delete((*keys_)[index]);
    return status.ok() ? Outcome::kDone : Judge(status);
  }
  std::string error() const { return status_.ToString(); }

 private:
  Outcome Judge(const Status& status) {
    if (status.code() == Code::kNotFound) return Outcome::kMissing;
    status_ = status;
    return Outcome::kError;
  }

  Client client_;
  const KeyTable* keys_;
  Value buffer_;
  Status status_;
};

// Workload D: how many keys each process has ever inserted into its ring, for each side.
struct Heads {
  struct alignas(64) Head {
    std::atomic<uint64_t> next{0};
  };
  Head head[kSides][kMaxProcs];
};

// What all workers of a run share; made before the fork.
struct YcsbWorld {
  const KeyTable* keys = nullptr;
  const SharedArea* floor_memory = nullptr;
  std::optional<SeqlockTable> floor;
  Heads* heads = nullptr;
  std::string store_path;  // empty: floor only
  Isolation mode = Isolation::kNone;
};

// `phases` tells which sequences will be needed.
std::unique_ptr<Worker> MakeYcsbWorker(const YcsbWorld& world, const std::vector<Phase>& phases, uint32_t proc);

}  // namespace lightning::bench
