// Children: what fork, vfork and exec take along.
#include <sched.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "pkeys_tests/routes/arena.h"

extern char** environ;

namespace lightning::routes {
namespace {

using Deed = std::function<void()>;

// Ends as the child did, so that the judge sees it.
void Await(pid_t child) {
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child) abort();
  if (!WIFSIGNALED(status)) return;
  signal(WTERMSIG(status), SIG_DFL);
  raise(WTERMSIG(status));
}
// Runs the body in a child, which ends with it.
void InChild(const Deed& body) {
  const pid_t child = fork();
  if (child == 0) {
    body();
    _exit(0);
  }
  Await(child);
}
// A control needs the mapping that a child does not get.
void Inherit(Arena& arena, bool yes) {
  if (arena.mode() == Isolation::kNone) return;
  if (madvise(arena.control(), arena.size(), yes ? MADV_DOFORK : MADV_DONTFORK) != 0) abort();
}
void Inheriting(Arena& arena, bool control, const Deed& body) {
  if (control) Inherit(arena, true);
  body();
  if (control) Inherit(arena, false);
}

void Fork(Arena& arena, const Deed& deed, bool control) {
  Inheriting(arena, control, [&] { InChild(deed); });
}
void ForkInWindow(Arena& arena, const Deed& deed, bool control) {
  Inheriting(arena, control, [&] {
    Window window(arena.gate());
    arena.Cover(window);
    InChild(deed);
  });
}
void ForkOfFork(Arena& arena, const Deed& deed, bool control) {
  Inheriting(arena, control, [&] { InChild([&] { InChild(deed); }); });
}
// A vfork as posix_spawn makes it: the child shares the memory and has a stack of its own.
void RunVfork(const Deed& deed) {
  static std::byte stack[256 * 1024];
  const pid_t child = clone(
      [](void* argument) {
        (*static_cast<const Deed*>(argument))();
        return 0;
      },
      stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, const_cast<Deed*>(&deed));
  Await(child);
}
void Vfork(Arena&, const Deed& deed, bool) { RunVfork(deed); }
void VforkInWindow(Arena& arena, const Deed& deed, bool control) {
  if (control) return RunVfork(deed);
  Window window(arena.gate());
  arena.Cover(window);
  RunVfork(deed);
}
// The program beside this one that knows --store-after-exec: this one itself, or a test program's neighbour.
std::string Program() {
  char path[PATH_MAX];
  const ssize_t size = readlink("/proc/self/exe", path, sizeof path);
  if (size <= 0 || size == sizeof path) abort();
  const std::string self(path, static_cast<size_t>(size));
  return self.substr(0, self.rfind('/') + 1) + "isolation-tests";
}

// A new program knows an address and no more. As a control it maps the file itself.
void Exec(Arena& arena, const Deed&, bool control) {
  std::byte* const at = arena.row().place->attack(arena);
  const auto offset = static_cast<uint64_t>(arena.row().place->control(arena) - arena.control());
  std::string address = std::to_string(control ? 0 : reinterpret_cast<uint64_t>(at)), path = arena.path(),
              place = std::to_string(offset);
  const std::string program = Program();
  char name[] = "isolation-tests", flag[] = "--store-after-exec";
  char* const arguments[] = {name, flag, address.data(), path.data(), place.data(), nullptr};
  arena.Begin(at);
  if (arena.silent()) return arena.StoredElsewhere(0);
  pid_t child;
  if (posix_spawn(&child, program.c_str(), nullptr, nullptr, arguments, environ) != 0) abort();
  int status = 0;
  if (waitpid(child, &status, 0) != child) abort();
  // Told by its exit status; 0 means that the store was made.
  arena.StoredElsewhere(WIFEXITED(status) ? WEXITSTATUS(status) : 255);
}
void ExecInWindow(Arena& arena, const Deed& deed, bool control) {
  if (control) return Exec(arena, deed, control);
  Window window(arena.gate());
  arena.Cover(window);
  Exec(arena, deed, control);
}

constexpr Context kContexts[] = {
    {"fork", Fork, nullptr, false, false, SEGV_MAPERR},
    {"fork_in_window", ForkInWindow, nullptr, true, false, SEGV_MAPERR},
    {"fork_of_fork", ForkOfFork, nullptr, false, false, SEGV_MAPERR},
    {"vfork", Vfork},
    {"vfork_in_window", VforkInWindow},
    {"exec", Exec, nullptr, false, false, SEGV_MAPERR},
    {"exec_in_window", ExecInWindow, nullptr, false, false, SEGV_MAPERR},
};

}  // namespace

std::span<const Context> ProcessContexts() { return kContexts; }

}  // namespace lightning::routes
