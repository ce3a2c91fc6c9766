// A small segment in memory, in one of many states that clients really left it in, for the fuzzer to damage: what
// `image` and `log` work on. Every byte beyond its end belongs to the address sanitizer, also where damage moved the
// end.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "faults/target/world.h"
#include "lightning/client.h"
#include "store/client/check.h"
#include "store/segment/segment.h"

namespace lightning::fuzz {

class Specimen {
 public:
  Specimen();
  ~Specimen();
  Specimen(const Specimen&) = delete;
  Specimen& operator=(const Specimen&) = delete;

  // As clients left it. `script`, modulo kScripts, says what they did. `death`, modulo kDeaths: the last one died at
  // its store number death * kStoresBetweenDeaths, or, with zero, lives on without ever coming back to it.
  static constexpr uint32_t kScripts = 4, kDeaths = 64, kStoresBetweenDeaths = 3;
  void Load(uint32_t script, uint32_t death);
  void LoadNothing();  // zeroes
  // Takes the geometry from the superblock: what a client that attaches would. kCorrupt and so on, as it would see it.
  // What lies beyond that geometry's end is out of bounds until the next load.
  Status ReadSuperblock();
  void RepairChecksum();

  std::byte* data() const { return data_; }
  uint64_t size() const { return size_; }
  const Geometry& geometry() const { return geometry_; }
  const Geometry& fresh() const { return fresh_; }  // before any damage
  Segment segment() const { return Segment(data_, geometry_); }
  faults::World& world() { return *world_; }
  // The slot of the client that died, if one did.
  static constexpr SlotIndex kVictim = 1;
  static constexpr uint64_t kSize = 332 * 1024;

  Result<Client> Attach();
  CheckReport Check();

 private:
  std::vector<std::byte> Make(uint32_t script, uint32_t death);

  std::byte* data_ = nullptr;
  uint64_t size_ = 0;
  Geometry fresh_, geometry_;
  Options options_;
  std::shared_ptr<faults::World> world_;
};

}  // namespace lightning::fuzz
