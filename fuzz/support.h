// What all fuzz targets share. A target is one file with one LIGHTNING_FUZZ(name); docs/fuzzing.md says what each
// checks. With LIGHTNING_FUZZ_REPLAY several of them stand in one program, which replays files (replay_test.cc).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "faults/model/random.h"

// A target's own loops over many bytes: to count and compare for the engine would take most of an execution.
#ifdef __clang__
#define LIGHTNING_FUZZ_UNCOUNTED __attribute__((noinline, no_sanitize("address", "coverage")))
#else
#define LIGHTNING_FUZZ_UNCOUNTED
#endif

namespace lightning::fuzz {

using faults::Random;

// The input as a supply of small numbers. Past its end, zeroes.
class ByteStream {
 public:
  ByteStream(const uint8_t* data, size_t size) : at_(data), end_(data + size) {}
  size_t left() const { return static_cast<size_t>(end_ - at_); }
  uint8_t Byte() { return at_ == end_ ? uint8_t{0} : *at_++; }
  template <typename T>
  T Number() {
    T value{};
    const size_t some = left() < sizeof value ? left() : sizeof value;
    if (some != 0) memcpy(&value, at_, some);
    at_ += some;
    return value;
  }
  std::string_view Text(size_t size) {
    const size_t some = left() < size ? left() : size;
    const std::string_view text(reinterpret_cast<const char*>(at_), some);
    at_ += some;
    return text;
  }
  std::string_view Rest() { return Text(left()); }

 private:
  const uint8_t* at_;
  const uint8_t* const end_;
};

// This execution did so many operations: their average is printed at the end.
void CountOperations(uint64_t operations);

// Something is wrong with what is under test: a message, and the end.
[[noreturn]] void Fail(std::string_view what);
inline void Require(bool condition, std::string_view what) {
  if (!condition) Fail(what);
}

// The engine's own mutation, in place; zero where the engine has none to lend.
size_t MutateBytes(uint8_t* data, size_t size, size_t max_size);

// For inputs that are a header and records of one size. Now and then only bytes change, as the engine likes; else whole
// records come, go, move or change, and there are at least `least` of them as far as `max_size` allows. Never more than
// `most`.
struct RecordForm {
  size_t header, record, least, most;
};
size_t MutateRecords(const RecordForm& form, uint8_t* data, size_t size, size_t max_size, unsigned seed);
// Crosses two such inputs: the header of one, records of both.
size_t CrossRecords(const RecordForm& form, const uint8_t* one, size_t one_size, const uint8_t* other,
                    size_t other_size, uint8_t* out, size_t max_size, unsigned seed);

// By name, in a replaying program.
using Target = int (*)(const uint8_t* data, size_t size);
std::map<std::string, Target>& Targets();
struct Registration {
  Registration(const char* name, Target target) { Targets()[name] = target; }
};

}  // namespace lightning::fuzz

#ifdef LIGHTNING_FUZZ_REPLAY
#define LIGHTNING_FUZZ(name)                                                       \
  static int FuzzOne(const uint8_t* data, size_t size);                            \
  static const ::lightning::fuzz::Registration registration##name(#name, FuzzOne); \
  static int FuzzOne(const uint8_t* data, size_t size)
#define LIGHTNING_FUZZ_MUTATORS(mutate, cross)
#else
#define LIGHTNING_FUZZ(name)                                               \
  extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size); \
  extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size)
// As MutateRecords and CrossRecords, without the form.
#define LIGHTNING_FUZZ_MUTATORS(mutate, cross)                                                                   \
  extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed);         \
  extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {        \
    return mutate(data, size, max_size, seed);                                                                   \
  }                                                                                                              \
  extern "C" size_t LLVMFuzzerCustomCrossOver(const uint8_t* one, size_t one_size, const uint8_t* other,         \
                                              size_t other_size, uint8_t* out, size_t max_size, unsigned seed);  \
  extern "C" size_t LLVMFuzzerCustomCrossOver(const uint8_t* one, size_t one_size, const uint8_t* other,         \
                                              size_t other_size, uint8_t* out, size_t max_size, unsigned seed) { \
    return cross(one, one_size, other, other_size, out, max_size, seed);                                         \
  }
#endif
#define LIGHTNING_FUZZ_RECORDS(form)                                                                  \
  LIGHTNING_FUZZ_MUTATORS([](auto... all) { return ::lightning::fuzz::MutateRecords(form, all...); }, \
                          [](auto... all) { return ::lightning::fuzz::CrossRecords(form, all...); })
