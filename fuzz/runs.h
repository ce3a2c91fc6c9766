// Runs of bytes laid over a segment, wherever they fall: the form in which an input of `image` reaches all of it. A run
// is a head (what stands there, where, how many bytes) and its content.
#pragma once

#include <algorithm>
#include <vector>

#include "fuzz/support.h"
#include "store/segment/geometry.h"

namespace lightning::fuzz {

// What a run consists of: the first two bits of its head's first byte.
enum class RunOf : uint8_t {
  kBytes,    // as they stand in the input
  kPattern,  // eight bytes, again and again
  kSeed,     // eight bytes are a seed: words of all kinds follow from it
  kCopy,     // eight bytes name a place: what lies there, which may be sound somewhere else
};
constexpr uint8_t kRunInTable = 4;  // its place is a table's entry, not an offset
constexpr size_t kRunHead = 8, kRunArgument = 8, kMostRuns = 64;

struct RunHead {
  uint8_t what = 0;
  uint8_t place[3] = {};
  uint32_t length = 0;
  RunOf of() const { return static_cast<RunOf>(what & 3); }
};
static_assert(sizeof(RunHead) == kRunHead);

inline RunHead TakeRunHead(ByteStream& in) {
  RunHead head;
  head.what = in.Byte();
  for (uint8_t& byte : head.place) byte = in.Byte();
  head.length = in.Number<uint32_t>();
  return head;
}

using AnyWord [[gnu::may_alias]] = uint64_t;

// Words as damage makes them: any, small, two small ones, or the one that is there. Marsaglia's xorshift64.
LIGHTNING_FUZZ_UNCOUNTED inline void FillFromSeed(AnyWord* to, uint64_t words, uint64_t seed) {
  uint64_t any = seed | 1;
  for (uint64_t i = 0; i < words; ++i) {
    any ^= any << 13;
    any ^= any >> 7;
    any ^= any << 17;
    const uint64_t value = any >> 8, kind = any % 4;
    if (kind != 3) to[i] = kind == 0 ? any : kind == 1 ? value % 64 : (value >> 8 & 63) << 32 | (value & 63);
  }
}

LIGHTNING_FUZZ_UNCOUNTED inline void FillWithPattern(AnyWord* to, uint64_t words, uint64_t pattern) {
  for (uint64_t i = 0; i < words; ++i) to[i] = pattern;
}

// `place_of(region, index, word)` is the offset of an entry of a table.
template <typename PlaceOf>
void LayRuns(std::byte* data, uint64_t size, ByteStream& in, PlaceOf place_of) {
  for (size_t run = 0; run < kMostRuns && in.left() >= kRunHead; ++run) {
    const RunHead head = TakeRunHead(in);
    const uint64_t any = head.place[0] + head.place[1] * 256U + head.place[2] * 65536U;
    const uint64_t at =
        ((head.what & kRunInTable) != 0 ? place_of(head.place[0], head.place[1], head.place[2]) : any) % size;
    const uint64_t length = std::min<uint64_t>(head.length, size - at);
    if (head.of() == RunOf::kBytes) {
      const std::string_view bytes = in.Text(head.length);
      memcpy(data + at, bytes.data(), std::min<uint64_t>(bytes.size(), length));
      continue;
    }
    const auto argument = in.Number<uint64_t>();
    auto* const words = reinterpret_cast<AnyWord*>(data + at / 8 * 8);
    if (head.of() == RunOf::kSeed) {
      FillFromSeed(words, length / 8, argument);
    } else if (head.of() == RunOf::kPattern) {
      FillWithPattern(words, length / 8, argument);
    } else {
      const uint64_t from = argument % size;
      memmove(data + at, data + from, std::min(length, size - from));
    }
  }
}

// Such an input in parts: a header, and runs that come, go, move, grow, shrink and change.
class Runs {
 public:
  Runs(size_t header, const uint8_t* data, size_t size) : header_(header, 0) {
    memcpy(header_.data(), data, std::min(size, header));
    ByteStream in(data + std::min(size, header), size - std::min(size, header));
    while (in.left() >= kRunHead && runs_.size() < kMostRuns) {
      Run run{TakeRunHead(in), {}};
      const std::string_view bytes = in.Text(run.head.of() == RunOf::kBytes ? run.head.length : kRunArgument);
      run.bytes.assign(bytes.begin(), bytes.end());
      runs_.push_back(std::move(run));
    }
  }

  void Change(Random& random, uint64_t segment) {
    if (runs_.empty() || (runs_.size() < kMostRuns && random.Percent(20))) {
      runs_.insert(runs_.begin() + static_cast<ptrdiff_t>(random.Below(runs_.size() + 1)), New(random, segment));
      return;
    }
    Run& run = runs_[random.Below(runs_.size())];
    switch (random.Below(8)) {
      case 0:
        if (runs_.size() > 1) runs_.erase(runs_.begin() + (&run - runs_.data()));
        return;
      case 1:
        return std::swap(run, runs_[random.Below(runs_.size())]);
      case 2:
        run.head.place[random.Below(3)] = static_cast<uint8_t>(random.Next());
        return;
      case 3:
        return Resize(run, Length(random, segment), random);
      case 4:
        run.head.place[0] = static_cast<uint8_t>(run.head.place[0] + 8 * random.Between(0, 2) - 8);
        return;
      case 5:
        header_[random.Below(header_.size())] = static_cast<uint8_t>(random.Next());
        return;
      default:
        return ChangeBytes(run, random);
    }
  }

  // Runs of another one, from some on.
  void Append(const Runs& other, size_t keep, size_t from) {
    runs_.resize(std::min(keep, runs_.size()));
    for (size_t i = from; i < other.runs_.size() && runs_.size() < kMostRuns; ++i) runs_.push_back(other.runs_[i]);
  }
  size_t count() const { return runs_.size(); }

  size_t Write(uint8_t* out, size_t most) const {
    size_t size = std::min(header_.size(), most);
    memcpy(out, header_.data(), size);
    for (const Run& run : runs_) {
      if (size + kRunHead + run.bytes.size() > most) continue;
      memcpy(out + size, &run.head, kRunHead);
      size += kRunHead;
      if (!run.bytes.empty()) memcpy(out + size, run.bytes.data(), run.bytes.size());
      size += run.bytes.size();
    }
    return size;
  }

 private:
  struct Run {
    RunHead head;
    std::vector<uint8_t> bytes;
  };

  // Some words mostly, now and then a page, seldom all that there is.
  static uint32_t Length(Random& random, uint64_t segment) {
    const uint64_t kind = random.Below(400);
    const uint64_t most = kind < 300 ? 64 : kind < 380 ? 1024 : kind < 396 ? 16384 : segment;
    return static_cast<uint32_t>(kind == 399 ? segment : random.Between(1, most / 8) * 8);
  }

  static void Resize(Run& run, uint32_t length, Random& random) {
    run.head.length = length;
    if (run.head.of() != RunOf::kBytes) return run.bytes.resize(kRunArgument);
    const size_t before = run.bytes.size();
    run.bytes.resize(length);
    for (size_t i = before; i < run.bytes.size(); ++i)
      run.bytes[i] = static_cast<uint8_t>(random.Next() & (random.Percent(50) ? 0xFF : 0x0F));
  }

  static Run New(Random& random, uint64_t segment) {
    Run run;
    run.head.what = static_cast<uint8_t>(random.Below(8));
    for (uint8_t& byte : run.head.place) byte = static_cast<uint8_t>(random.Next());
    if ((run.head.what & kRunInTable) == 0) run.head.place[0] &= 0xF8;
    Resize(run, Length(random, segment), random);
    for (uint8_t& byte : run.bytes) byte = run.head.of() == RunOf::kBytes ? byte : static_cast<uint8_t>(random.Next());
    return run;
  }

  static void ChangeBytes(Run& run, Random& random) {
    if (run.bytes.empty()) return;
    // A part: the engine's own changes move all that is behind them.
    const size_t from = random.Below(run.bytes.size());
    const size_t some = std::min<size_t>(run.bytes.size() - from, 64);
    if (MutateBytes(run.bytes.data() + from, some, some) == 0) run.bytes[from] = static_cast<uint8_t>(random.Next());
  }

  std::vector<uint8_t> header_;
  std::vector<Run> runs_;
};

}  // namespace lightning::fuzz
