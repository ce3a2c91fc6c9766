// Shared by the files of the C API: each function checks its pointers, calls the C++ API, and turns its Status into a
// code. No exception leaves.
#pragma once

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <new>
#include <string_view>
#include <type_traits>

#include "lightning/c.h"
#include "lightning/lightning.h"

struct lightning_client {
  lightning::Client client;
};
struct lightning_object {
  lightning::Handle handle;
};
struct lightning_writer {
  lightning::Writer writer;
};
struct lightning_subscription {
  lightning::Subscription subscription;
  lightning::Event last;  // keeps the key that the caller was shown
};

namespace lightning::c_api {

// Keeps the text for lightning_last_error.
lightning_code Report(const Status& status) noexcept;

// Runs `body`, which returns a Status, and lets no exception out.
template <typename Body>
lightning_code Guard(Body&& body) noexcept {
  static_assert(std::is_same_v<std::invoke_result_t<Body>, Status>);
  try {
    return Report(body());
  } catch (const std::bad_alloc&) {
    return Report(Status(Code::kSystem, "out of memory", ENOMEM));
  } catch (...) {
    return Report(Status(Code::kSystem, "a callback threw an exception"));
  }
}

inline Status NullArgument() { return Status(Code::kInvalidArgument, "a pointer that is needed is NULL"); }

// Stores the value of a result behind an optional pointer.
template <typename T, typename U>
Status Give(const Result<T>& result, U* out) {
  if (!result.ok()) return result.status();
  if (out != nullptr) *out = *result;
  return {};
}

// NULL is well with size 0 only.
inline bool BadBytes(const void* data, size_t size) { return data == nullptr && size != 0; }
inline Bytes ToBytes(const void* data, size_t size) { return {static_cast<const std::byte*>(data), size}; }
inline std::string_view ToText(const void* data, size_t size) { return {static_cast<const char*>(data), size}; }

inline std::chrono::nanoseconds ToTimeout(uint64_t nanoseconds) {
  constexpr auto kMax = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  return std::chrono::nanoseconds(static_cast<int64_t>(std::min(nanoseconds, kMax)));
}

}  // namespace lightning::c_api
