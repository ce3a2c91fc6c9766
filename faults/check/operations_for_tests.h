// Operations on one register, as tests of the checkers write them down.
#pragma once

#include "faults/check/linearizability.h"

namespace lightning::faults {

inline RegisterOperation Put(uint64_t value, uint64_t call, uint64_t ret = kNever) {
  return {.kind = RegisterKind::kPut, .value = value, .call = call, .ret = ret};
}
inline RegisterOperation Get(uint64_t value, uint64_t call, uint64_t ret) {
  return {.kind = RegisterKind::kGet, .value = value, .call = call, .ret = ret};
}
inline RegisterOperation Delete(uint64_t call, uint64_t ret = kNever, RegisterAnswer answer = RegisterAnswer::kNone) {
  return {.kind = RegisterKind::kDelete, .answer = answer, .call = call, .ret = ret};
}
inline RegisterOperation Replace(uint64_t expected, uint64_t value, RegisterAnswer answer, uint64_t call,
                                 uint64_t ret = kNever) {
  return {
      .kind = RegisterKind::kReplace, .answer = answer, .value = value, .expected = expected, .call = call, .ret = ret};
}
inline RegisterOperation Contains(RegisterAnswer answer, uint64_t call, uint64_t ret) {
  return {.kind = RegisterKind::kContains, .answer = answer, .call = call, .ret = ret};
}

}  // namespace lightning::faults
