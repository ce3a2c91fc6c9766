// What a process can forbid itself. The seccomp filter is in seccomp_filter.cc; Landlock here (landlock(7)): what is
// not allowed by a rule is refused, so each file and folder gets a rule but those to protect and the folders that lead
// to them.
#include <dirent.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "lightning/isolation.h"
#include "store/gate/gate.h"
#include "store/gate/process_maps.h"
#include "store/gate/seccomp_filter.h"
#include "store/segment/segment_file.h"

namespace lightning {
namespace {

constexpr uint64_t kTruncate = uint64_t{1} << 14;  // LANDLOCK_ACCESS_FS_TRUNCATE, Linux 6.2, newer than some headers

long LandlockVersion() { return syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION); }

bool SeccompIsThere() {
  const uint32_t action = SECCOMP_RET_ERRNO;
  return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

// The segments' own names, and /proc.
std::vector<std::string> ProtectedPaths(const std::vector<Gate::Mappings>& gates) {
  std::vector<std::string> paths = {"/proc"};
  for (const MapsEntry& entry : ReadProcessMaps(/*details=*/false)) {
    const bool ours = std::any_of(gates.begin(), gates.end(), [&](const Gate::Mappings& gate) {
      return gate.control.Contains(entry.begin, entry.end);
    });
    char real[PATH_MAX];
    if (!ours || entry.inode == 0 || realpath(entry.path.c_str(), real) == nullptr) continue;
    if (std::find(paths.begin(), paths.end(), real) == paths.end()) paths.emplace_back(real);
  }
  return paths;
}

class Ruleset {
 public:
  explicit Ruleset(uint64_t access) : access_(access) {
    landlock_ruleset_attr attributes = {};
    attributes.handled_access_fs = access;
    fd_ = ScopedFd(static_cast<int>(syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0)));
  }
  bool ok() const { return fd_.ok(); }
  int fd() const { return fd_.get(); }

  // Everything in `folder` but what leads to `paths`.
  void AllowAllBut(const std::string& folder, const std::vector<std::string>& paths) {
    const std::unique_ptr<DIR, int (*)(DIR*)> entries(opendir(folder.c_str()), closedir);
    if (entries == nullptr) return;
    while (const dirent* entry = readdir(entries.get())) {
      const std::string_view name = entry->d_name;
      if (name == "." || name == "..") continue;
      const std::string path = (folder == "/" ? "/" : folder + "/") + std::string(name);
      if (std::find(paths.begin(), paths.end(), path) != paths.end()) continue;
      const bool leads =
          std::any_of(paths.begin(), paths.end(), [&](const std::string& to) { return to.starts_with(path + "/"); });
      if (leads) {
        AllowAllBut(path, paths);
      } else {
        Allow(path);
      }
    }
  }

 private:
  void Allow(const std::string& path) {
    // Not through a symbolic link: it may lead to what is protected. What it leads to has a rule under its own name.
    const ScopedFd fd(open(path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    landlock_path_beneath_attr rule = {};
    rule.allowed_access = access_;
    rule.parent_fd = fd.get();
    // What takes no rule (a link, what has just gone) stays refused.
    if (fd.ok()) static_cast<void>(syscall(SYS_landlock_add_rule, fd_.get(), LANDLOCK_RULE_PATH_BENEATH, &rule, 0));
  }

  const uint64_t access_;
  ScopedFd fd_;
};

Status RestrictFiles(const std::vector<std::string>& paths) {
  const uint64_t access = LANDLOCK_ACCESS_FS_WRITE_FILE | (LandlockVersion() >= 3 ? kTruncate : 0);
  Ruleset ruleset(access);
  if (!ruleset.ok()) return Status(Code::kSystem, "making a Landlock ruleset", errno);
  ruleset.AllowAllBut("/", paths);
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return Status(Code::kSystem, "no_new_privs", errno);
  if (syscall(SYS_landlock_restrict_self, ruleset.fd(), 0) != 0)
    return Status(Code::kSystem, "restricting this thread by Landlock", errno);
  return {};
}

}  // namespace

Status Harden(const HardenOptions& options) {
  if (options.system_calls && !SeccompIsThere())
    return Status(Code::kUnsupported, "this kernel has no seccomp filters");
  if (options.files && LandlockVersion() < 1)
    return Status(Code::kUnsupported, "this kernel has no Landlock, or it is not enabled");
  std::vector<sock_filter> filter;
  std::vector<std::string> paths;
  Gate::WithAll([&](const std::vector<Gate::Mappings>& gates) {
    filter = SeccompFilter(gates);
    if (options.files) paths = ProtectedPaths(gates);
  });
  Status status;
  if (options.files) status = RestrictFiles(paths);
  if (!status.ok() || !options.system_calls) return status;
  Gate::KeepAddresses();
  return InstallSeccompFilter(std::move(filter));
}

}  // namespace lightning
