// Results of the public API. Nothing in Lightning throws across the API: each call returns a Status or a Result<T>.
#pragma once

#include <cassert>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

namespace lightning {

// The codes are part of the C API and of scripts: append, never renumber.
enum class Code : int32_t {
  kOk = 0,
  kNotFound = 1,         // no sealed object under this key
  kAlreadyExists = 2,    // create found a sealed object, or a segment where a new one was asked for
  kBeingCreated = 3,     // another live client has created this key and not sealed it yet
  kVersionMismatch = 4,  // replace found another version
  kSegmentFull = 5,      // no free extent is large enough
  kTooManyObjects = 6,
  kTooManyClients = 7,
  kTooManyPins = 8,
  kInvalidKey = 9,  // empty, or longer than kMaxKeySize
  kValueTooLarge = 10,
  kMetadataTooLarge = 11,
  kInvalidArgument = 12,
  kTimeout = 13,  // the deadline passed; a living peer may be stopped
  kClosed = 14,   // use after Close, Seal or Abort
  kForked = 15,   // this Client belongs to the parent process
  kBadFormat = 16,
  kBadVersion = 17,
  kTruncated = 18,
  kCorrupt = 19,
  kNoPermission = 20,
  kReadOnly = 21,
  kNoSpace = 22,          // the file system that holds the segment is full
  kUnsupported = 23,      // this machine or kernel lacks what was asked for
  kFellBehind = 24,       // a subscriber lost events
  kNoSegment = 25,        // nothing to open under this name
  kSystem = 26,           // any other error of the operating system, see sys_errno()
  kIsolationBroken = 27,  // what keeps stray writes out of the store is broken in this process (isolation.h)
};

// A stable short name such as "NOT_FOUND".
const char* CodeName(Code code);
// One sentence that says what happened and what to do about it.
const char* CodeMessage(Code code);

// A code, an errno where the system gave one, and an optional detail with static storage. Trivially copyable.
class [[nodiscard]] Status {
 public:
  constexpr Status() = default;
  constexpr Status(Code code, const char* detail = nullptr, int sys_errno = 0)  // NOLINT: a Code is a Status
      : code_(code), sys_errno_(sys_errno), detail_(detail) {}

  constexpr bool ok() const { return code_ == Code::kOk; }
  constexpr Code code() const { return code_; }
  constexpr int sys_errno() const { return sys_errno_; }
  constexpr const char* detail() const { return detail_; }
  // "SEGMENT_FULL: <what to do> (<detail>; <strerror>)".
  std::string ToString() const;

 private:
  Code code_ = Code::kOk;
  int sys_errno_ = 0;
  const char* detail_ = nullptr;
};

// A value or the Status that explains its absence. REQUIRES: ok() before value access.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(Status status) : status_(status) { assert(!status.ok()); }  // NOLINT: implicit by design
  Result(Code code) : Result(Status(code)) {}                        // NOLINT: implicit by design
  Result(T&& value) : value_(std::move(value)) {}                    // NOLINT: implicit by design
  Result(const T& value) : value_(value) {}                          // NOLINT: implicit by design

  bool ok() const { return value_.has_value(); }
  const Status& status() const { return status_; }
  Code code() const { return status_.code(); }

  T& value() & { return *value_; }
  const T& value() const& { return *value_; }
  T&& value() && { return *std::move(value_); }
  T& operator*() & { return *value_; }
  const T& operator*() const& { return *value_; }
  T&& operator*() && { return *std::move(value_); }
  T* operator->() { return &*value_; }
  const T* operator->() const { return &*value_; }

 private:
  Status status_;
  std::optional<T> value_;
};

}  // namespace lightning
