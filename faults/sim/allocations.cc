#include "faults/sim/allocations.h"

#include <cstdint>
#include <cstdlib>
#include <new>

namespace lightning::faults {
namespace {

Allocations* current_allocations = nullptr;

// Before each block, so that what follows stays aligned as malloc aligns.
struct alignas(16) Block {
  Allocations::Header header;  // linked when somebody owns it
};
static_assert(sizeof(Block) % alignof(std::max_align_t) == 0);

void Unlink(Allocations::Header& header) {
  if (header.next == nullptr) return;
  header.previous->next = header.next;
  header.next->previous = header.previous;
  header.next = header.previous = nullptr;
}

}  // namespace

Allocations::Allocations() { head_.previous = head_.next = &head_; }
Allocations::~Allocations() { FreeAll(); }

void Allocations::FreeAll() {
  while (head_.next != &head_) {
    Header* const header = head_.next;
    Unlink(*header);
    std::free(header);
  }
}

size_t Allocations::count() const {
  size_t total = 0;
  for (const Header* header = head_.next; header != &head_; header = header->next) ++total;
  return total;
}

AllocationScope::AllocationScope(Allocations* owner) : before_(current_allocations) { current_allocations = owner; }
AllocationScope::~AllocationScope() { current_allocations = before_; }
Allocations* CurrentAllocations() { return current_allocations; }
void SetCurrentAllocations(Allocations* owner) { current_allocations = owner; }

}  // namespace lightning::faults

// Clang's thread sanitizer brings operators of its own that cannot be replaced: what a killed client had is lost there.
#ifdef __has_feature
#if __has_feature(thread_sanitizer)
#define LIGHTNING_FIXED_OPERATORS
#endif
#endif
#ifndef LIGHTNING_FIXED_OPERATORS

namespace lightning::faults {
namespace {

void* Allocate(size_t size) {
  auto* block = static_cast<Block*>(std::malloc(sizeof(Block) + size));
  if (block == nullptr) std::abort();  // as the machine is: no test has so much
  new (block) Block;
  if (current_allocations != nullptr) {
    // The list's head is its first member.
    auto* const head = reinterpret_cast<Allocations::Header*>(current_allocations);
    block->header = {head, head->next};
    head->next->previous = &block->header;
    head->next = &block->header;
  }
  return block + 1;
}

void Release(void* place) {
  if (place == nullptr) return;
  Block* const block = static_cast<Block*>(place) - 1;
  Unlink(block->header);
  std::free(block);
}

}  // namespace
}  // namespace lightning::faults

void* operator new(size_t size) { return lightning::faults::Allocate(size); }
void* operator new[](size_t size) { return lightning::faults::Allocate(size); }
void* operator new(size_t size, const std::nothrow_t&) noexcept { return lightning::faults::Allocate(size); }
void* operator new[](size_t size, const std::nothrow_t&) noexcept { return lightning::faults::Allocate(size); }
void operator delete(void* place) noexcept { lightning::faults::Release(place); }
void operator delete[](void* place) noexcept { lightning::faults::Release(place); }
void operator delete(void* place, size_t) noexcept { lightning::faults::Release(place); }
void operator delete[](void* place, size_t) noexcept { lightning::faults::Release(place); }

#endif  // LIGHTNING_FIXED_OPERATORS
