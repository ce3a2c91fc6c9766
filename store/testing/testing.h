// What the tests of store/ share: small segments, in files and in plain memory, and a world whose clients die and whose
// clock runs on command. Only tests include this folder.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lightning/lightning.h"
#include "store/gate/gate.h"
#include "store/kernel/kernel.h"
#include "store/log/environment.h"
#include "store/segment/segment.h"
#include "store/testing/segment_name.h"

namespace lightning {

// How GoogleTest shows a code.
inline void PrintTo(Code code, std::ostream* out) { *out << CodeName(code); }

}  // namespace lightning

namespace lightning::test {

// The smallest geometry that makes sense, isolation none, a fixed hash seed: what a test does not set is small.
Options SmallOptions();

// A folder under /tmp, removed at the end with everything in it.
class TempFolder {
 public:
  TempFolder();
  ~TempFolder();
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  const std::string& path() const { return path_; }
  std::string operator/(std::string_view name) const { return path_ + "/" + std::string(name); }
  size_t files() const;

 private:
  std::string path_;
};

// Runs `body` in a forked child. Its return value (0 to 255), or minus the signal that ended it.
int RunInChild(const std::function<int()>& body);

// Why a group of children could not run, as an exit status.
inline constexpr int kCannotRun = 77;

// "" when the report is well, else what it says: for EXPECT_EQ(Violations(...), "").
std::string Violations(const CheckReport& report);

// `count` different keys, all of which belong to the home bucket that has the most of them among many.
std::vector<std::string> CollidingKeys(const Segment& segment, size_t count);

// The world outside the store: who is dead, and what time it is.
class World {
 public:
  std::unique_ptr<Kernel> NewKernel();

  std::atomic<bool> dead[kAttacher + 1] = {};
  bool real_time = false;           // else a Pause or Wait moves the clock and returns at once
  std::atomic<int64_t> now{1};      // nanoseconds
  std::atomic<uint64_t> pauses{0};  // calls of Pause and Wait
  std::function<void()> on_pause;   // called by each
};

// A segment in plain memory.
class MemorySegment {
 public:
  explicit MemorySegment(const Options& options);
  ~MemorySegment();
  MemorySegment(const MemorySegment& other);  // an image of its bytes
  MemorySegment& operator=(const MemorySegment&) = delete;
  void CopyFrom(const MemorySegment& other);

  std::byte* memory() const { return memory_; }
  uint64_t size() const { return geometry_.size; }
  const Geometry& geometry() const { return geometry_; }
  Segment segment() const { return Segment(memory_, geometry_); }
  Result<Client> Attach(World& world, Nanoseconds lock_timeout = std::chrono::seconds(1)) const;
  // What CheckSegment says; the dead are those that `world` names.
  CheckReport Check(const World& world) const;

 private:
  Geometry geometry_;
  std::byte* memory_ = nullptr;
};

// Writes a word as no client may: neither logged nor locked. To plant what a test is about.
void Poke(const internal::Word& word, uint64_t value);

// A client below the operations: a slot made active, and what a Transaction needs.
class Actor {
 public:
  Actor(const MemorySegment& memory, World& world, SlotIndex slot, uint32_t generation = 1);

  const Segment& segment() const { return environment.segment; }
  const Slot& slot() const { return environment.segment.slot(environment.self); }

  std::unique_ptr<Gate> gate;
  std::unique_ptr<Kernel> kernel;
  Environment environment;
};

// Keeps what a client that dies in a simulation had: its destructor never runs. World::dead says that it died.
void Keep(std::shared_ptr<void> thing);
template <typename T>
void Abandon(T thing) {
  Keep(std::make_shared<T>(std::move(thing)));
}

// Everything sealed that a client sees: key -> value.
std::map<std::string, std::string> Content(Client& client);

// Until this thread of the process sleeps, as one that waits for a key or an event does. False when it never does.
bool WaitUntilItSleeps(pid_t thread);

// `prefix` with a number behind it: for keys.
std::string Numbered(std::string_view prefix, uint64_t number);

// The value of one object, or the name of the Status: for readable expectations.
std::string Value(Client& client, std::string_view key);

}  // namespace lightning::test
