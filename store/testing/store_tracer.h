// Stops at every store to a piece of memory, in this process and thread, whatever code makes it: a page that may not be
// written faults, the one instruction is let through with the processor's trap flag, and the page is closed again. The
// truth about the order of stores in the code that the compiler made, without another process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

namespace lightning::test {

struct StoreHooks {
  // Called around the store to byte `offset`. They may do anything but write to the memory.
  std::function<void(uint64_t offset)> before = [](uint64_t) {};
  std::function<void(uint64_t offset)> after = [](uint64_t) {};
};

// Runs `body`, and the hooks at each of its stores to [memory, memory + size), which begins on a page. Returns how many
// there were. One thread, one trace at a time.
uint64_t TraceStores(std::byte* memory, uint64_t size, const StoreHooks& hooks, const std::function<void()>& body);

}  // namespace lightning::test
