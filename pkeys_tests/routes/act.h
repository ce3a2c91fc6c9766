// What a row of the matrix is made of: an act (one way to write), a target (where), and a context (who, and when).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

namespace lightning::routes {

class Arena;

// How it shows that an act was stopped.
enum class Sign : uint8_t {
  kFault,        // a signal at the instruction
  kRefused,      // a system call fails
  kEither,       // one of the two: a vDSO call that may fall back to the system call
  kKernelFault,  // the kernel sends SIGSEGV because it could not write: SI_KERNEL, and no address
  kKilled,       // it ends the process with SIGSEGV, past its handler
  kTaskEnded,    // it ends the task that asked for it with SIGSEGV, or refuses
  kIgnored,      // it gives up without a word; the task shows that it took the request (Arena::Taken)
};

struct Act {
  const char* name;
  Sign sign;
  // Writes at most `size` bytes from `at` on, and changes at least one where it has the right to.
  void (*run)(Arena& arena, std::byte* at);
  size_t size = 16;
  size_t alignment = 8;
  int error = 0;                       // of a call that is refused
  const char* (*missing)() = nullptr;  // the fact that keeps it from running here, or null
  bool leaves_traces = false;          // attack and control need a child each
  bool own_control = false;            // knows itself how to land as a control: no window is opened for it
};

struct Target {
  const char* name;
  std::byte* (*attack)(Arena& arena);
  std::byte* (*control)(Arena& arena);  // the same bytes where a window makes them writable
};

// Runs `deed` once. Where `control` is set, the deed brings rights of its own.
struct Context {
  const char* name;
  void (*run)(Arena& arena, const std::function<void()>& deed, bool control);
  const char* (*missing)() = nullptr;
  bool leaves_traces = false;
  bool needs_older_thread = false;
  int code = 0;  // si_code of a stopped store, where it is another than the mode's
};

std::span<const Act> Stores();
std::span<const Act> WideStores();
std::span<const Act> Syscalls();
std::span<const Act> KernelWrites();  // what the kernel does later or for others
std::span<const Act> AsyncReads();
std::span<const Act> FileWrites();  // ways round every mapping
std::span<const Act> OwnWrites();   // what the store itself is asked to write

std::span<const Target> Targets();

std::span<const Context> Contexts();
std::span<const Context> ProcessContexts();
std::span<const Context> Leaks();           // a window left open, rights edited
std::span<const Context> MappingChanges();  // then a plain store

bool KernelIsBefore(int major, int minor);

const Act& FindAct(const char* name);
const Target& FindTarget(const char* name);
const Context& FindContext(const char* name);

}  // namespace lightning::routes
