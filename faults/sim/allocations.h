// What a killed client had allocated is given back: its destructors never run, as they would not in a dead process.
// In the programs of the simulation, operator new notes for whom it works.
#pragma once

#include <cstddef>

namespace lightning::faults {

// The blocks that one client has at the moment.
class Allocations {
 public:
  Allocations();
  ~Allocations();  // frees them all
  Allocations(const Allocations&) = delete;
  Allocations& operator=(const Allocations&) = delete;

  // Gives back every block. What lies in them must not be touched again.
  void FreeAll();
  size_t count() const;

  struct Header {
    Header* previous = nullptr;
    Header* next = nullptr;
  };

 private:
  Header head_;
};

// While one lives, what is allocated belongs to `owner`; to nobody when null.
class AllocationScope {
 public:
  explicit AllocationScope(Allocations* owner);
  ~AllocationScope();
  AllocationScope(const AllocationScope&) = delete;
  AllocationScope& operator=(const AllocationScope&) = delete;

 private:
  Allocations* before_;
};

// The owner at the moment, for those who switch stacks.
Allocations* CurrentAllocations();
void SetCurrentAllocations(Allocations* owner);

}  // namespace lightning::faults
