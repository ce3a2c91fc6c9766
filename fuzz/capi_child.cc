#include "fuzz/capi_child.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <vector>

#include "fuzz/support.h"

// A build for coverage has it: a child that is left by _exit has counted all the same.
extern "C" __attribute__((weak)) int __llvm_profile_write_file(void);  // NOLINT(bugprone-reserved-identifier)

namespace lightning::fuzz {
namespace {

struct Mapped {
  uintptr_t begin = 0, end = 0;
  bool operator==(const Mapped&) const = default;
};

// Those that somebody can read: what sealing keeps aside for later has no rights to take.
std::vector<Mapped> MappingsOf(const std::string& name) {
  std::vector<Mapped> found;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    Mapped its;
    char read = '-';
    if (sscanf(line.c_str(), "%lx-%lx %c", &its.begin, &its.end, &read) == 3 && read == 'r' && line.ends_with(name))
      found.push_back(its);
  }
  return found;
}

void Told(lightning_breach breach, const char* message, void* context) {
  Require(lightning_breach_name(breach) != nullptr && *message != 0, "a breach without a name or a text");
  ++*static_cast<size_t*>(context);
}

void WorkHardened(lightning_client* client, bool system_calls, bool files) {
  const lightning_code hardened = lightning_harden(system_calls, files);
  Require(hardened == LIGHTNING_OK || hardened == LIGHTNING_UNSUPPORTED, "a child cannot harden itself");
  constexpr char kKey[] = "the child's", kValue[] = "value";
  const lightning_code put = lightning_put(client, kKey, sizeof kKey, kValue, sizeof kValue, nullptr, 0, 0, nullptr);
  Require(put == LIGHTNING_OK || put == LIGHTNING_SEGMENT_FULL || put == LIGHTNING_TOO_MANY_OBJECTS ||
              put == LIGHTNING_TIMEOUT,
          "a hardened child cannot put");
  if (put == LIGHTNING_OK) {
    lightning_object* object = nullptr;
    Require(lightning_get(client, kKey, sizeof kKey, 0, &object) == LIGHTNING_OK, "what a hardened child put is gone");
    Require(memcmp(lightning_object_data(object), kValue, sizeof kValue) == 0,
            "what a hardened child put has other bytes");
    Require(lightning_release(object) == LIGHTNING_OK, "a hardened child cannot release");
    Require(lightning_delete(client, kKey, sizeof kKey, 0) == LIGHTNING_OK, "a hardened child cannot delete");
  }
  lightning_audit_result result{};
  size_t told = 0;
  // With `files` /proc/self/maps can still be read: Landlock takes writing alone.
  Require(lightning_audit(Told, &told, &result) == LIGHTNING_OK && told == 0, "hardening looks like a breach");
  Require(lightning_close(client) == LIGHTNING_OK, "a hardened child cannot detach");
}

// Attaching looks for other mappings alone (docs/hardening.md); this an audit finds.
void Damage(Mapped its, const lightning_options& options, uint8_t what) {
  auto* const begin = reinterpret_cast<void*>(its.begin);
  bool done = false;
  switch (what % 4) {
    case 0:
      done = munmap(begin, its.end - its.begin) == 0;
      break;
    case 1:
      done = mprotect(begin, its.end - its.begin, PROT_READ | PROT_WRITE | PROT_EXEC) == 0;
      break;
    default:
      madvise(begin, its.end - its.begin, MADV_DOFORK);
  }
  size_t told = 0;
  lightning_audit_result result{};
  Require(lightning_audit(Told, &told, &result) == LIGHTNING_OK && told == result.findings,
          "a damaged child has no audit");
  const bool certain = done && options.isolation != LIGHTNING_ISOLATION_NONE;
  Require(!certain || told > 0, "the audit overlooked what happened to a mapping");
}

[[noreturn]] void Child(const std::string& name, const lightning_options& options, uint8_t what, uint8_t which) {
  lightning_client* client = nullptr;
  const std::vector<Mapped> inherited = MappingsOf(name);
  lightning_options sealing = options;
  sealing.seal = (what & 8) != 0;
  const lightning_code opened = lightning_open(name.c_str(), &sealing, &client);
  Require(opened == LIGHTNING_OK || opened == LIGHTNING_TOO_MANY_CLIENTS || opened == LIGHTNING_UNSUPPORTED ||
              opened == LIGHTNING_TIMEOUT,
          "a child cannot attach");
  if (opened == LIGHTNING_OK) {
    if ((what & 1) != 0) {
      WorkHardened(client, (what & 2) != 0, (what & 4) != 0);
    } else {
      std::vector<Mapped> own = MappingsOf(name);
      // The view and the control mapping are whole; what else there is of the segment is the client's own to write.
      std::erase_if(own, [&](const Mapped& its) {
        return its.end - its.begin != options.size ||
               std::find(inherited.begin(), inherited.end(), its) != inherited.end();
      });
      Require(!own.empty(), "a client has mapped nothing");
      Damage(own[which % own.size()], sealing, what / 2);
    }
  }
  if (__llvm_profile_write_file != nullptr) __llvm_profile_write_file();
  _exit(0);
}

}  // namespace

void TryInAChild(const std::string& name, const lightning_options& options, uint8_t what, uint8_t which) {
  const pid_t child = fork();
  Require(child >= 0, "no child can be forked");
  if (child == 0) Child(name, options, what, which);
  int status = 0;
  pid_t ended;
  do ended = waitpid(child, &status, 0);
  while (ended < 0 && errno == EINTR);  // libFuzzer's alarm
  Require(ended == child, "a child cannot be waited for");
  Require(WIFEXITED(status) && WEXITSTATUS(status) == 0, "a child ended otherwise than it should");
  // A damaged one leaves without detaching.
  lightning_client* fresh = nullptr;
  if (lightning_open(name.c_str(), &options, &fresh) != LIGHTNING_OK) return;
  lightning_recover(fresh, nullptr);
  lightning_close(fresh);
}

}  // namespace lightning::fuzz
