// Segments to try things on: one in plain memory with a simulated world, and one in a real file.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "faults/target/world.h"
#include "lightning/client.h"
#include "store/segment/segment.h"

namespace lightning::faults {

// Page-aligned zeroed memory.
class Pages {
 public:
  explicit Pages(uint64_t size);
  ~Pages();
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;
  std::byte* data() const { return data_; }
  uint64_t size() const { return size_; }

 private:
  std::byte* data_ = nullptr;
  uint64_t size_ = 0;
};

// What every engine wants of a segment that it owns.
class TestSegment {
 public:
  virtual ~TestSegment() = default;
  virtual Result<Client> Attach() = 0;
  // For looking only: invariants, raw words.
  virtual const Segment& segment() const = 0;
  // Null over a real file, where only real processes die.
  virtual World* world() { return nullptr; }
};

// In memory of the harness.
class MemorySegment final : public TestSegment {
 public:
  // REQUIRES: options that fit together. `options.hash_seed` not zero, or nothing repeats.
  explicit MemorySegment(const Options& options);
  // A copy of somebody's bytes, with nobody's clients; Load() replaces the bytes.
  explicit MemorySegment(const Geometry& geometry);
  // Forgets who was dead.
  void Load(const std::byte* image);

  Result<Client> Attach() override;
  const Segment& segment() const override { return segment_; }
  World* world() override { return world_.get(); }
  std::byte* data() { return memory_.data(); }

 private:
  Geometry geometry_;
  Pages memory_;
  std::shared_ptr<World> world_ = std::make_shared<World>();
  Segment segment_;
};

// In a file under /dev/shm, removed at the end. The name's length does not depend on the process.
class FileSegment final : public TestSegment {
 public:
  static Result<std::unique_ptr<FileSegment>> Create(const Options& options);
  ~FileSegment() override;

  Result<Client> Attach() override;
  // Read-only, shared with all who have it open.
  const Segment& segment() const override { return segment_; }
  const std::string& path() const { return path_; }
  const Options& options() const { return options_; }

 private:
  FileSegment() = default;
  std::string path_;
  Options options_;
  const std::byte* view_ = nullptr;
  Segment segment_;
};

// The slot that a client has.
SlotIndex SlotOf(const Client& client);

}  // namespace lightning::faults
