// The public classes: arguments in, the core's answer out.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "store/client/check.h"
#include "store/client/core.h"
#include "store/gate/audit.h"

namespace lightning {
namespace {

// The same file once more, for reading only: liveness needs a descriptor for as long as the client is attached, and a
// stray write to it must not reach the segment.
ScopedFd ReopenReadOnly(int fd, const std::string& path) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ScopedFd reopened(open(link, O_RDONLY | O_CLOEXEC));
  if (reopened.ok()) return reopened;
  ScopedFd by_name(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  struct stat ours, its;
  if (!by_name.ok() || fstat(fd, &ours) != 0 || fstat(by_name.get(), &its) != 0 || ours.st_ino != its.st_ino ||
      ours.st_dev != its.st_dev)
    return ScopedFd();
  return by_name;
}

}  // namespace

Result<Store> Store::Open(std::string_view name, const Options& options) {
  if (name.empty() || name.find('\0') != std::string_view::npos)
    return Status(Code::kInvalidArgument, "the segment needs a name");
  Store store;
  store.path_ = SegmentPath(name);
  store.options_ = options;
  // Between a failed open and a failed create, somebody else may create or remove: then from the beginning.
  for (int attempt = 0; attempt < 100; ++attempt) {
    if (options.mode != OpenMode::kCreate) {
      const Result<OpenedSegment> opened = OpenSegmentFile(store.path_);
      if (opened.ok()) return store;
      if (opened.code() != Code::kNoSegment || options.mode == OpenMode::kOpen) return opened.status();
    }
    const Status created = CreateSegmentFile(store.path_, options);
    if (created.ok()) return store;
    if (created.code() != Code::kAlreadyExists || options.mode == OpenMode::kCreate) return created;
  }
  return Status(Code::kSystem, "the segment is created and removed all the while", EAGAIN);
}

Status Store::Remove(std::string_view name) {
  if (unlink(SegmentPath(name).c_str()) == 0) return {};
  const Code code = errno == ENOENT ? Code::kNoSegment : errno == EROFS ? Code::kReadOnly : Code::kNoPermission;
  return Status(code, "removing the segment", errno);
}

CheckReport Store::Check(std::string_view name) {
  CheckReport report;
  const std::string path = SegmentPath(name);
  auto refuse = [&](const std::string& why) {
    report.violations.push_back(why);
    return report;
  };
  const ScopedFd fd(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (!fd.ok()) return refuse("cannot open " + path + ": " + strerror(errno));
  struct stat info;
  if (fstat(fd.get(), &info) != 0) return refuse("cannot look at " + path + ": " + strerror(errno));
  if (!S_ISREG(info.st_mode)) return refuse(path + " is not a regular file");
  Superblock superblock;
  if (pread(fd.get(), &superblock, sizeof superblock, 0) != sizeof superblock)
    return refuse(path + " is shorter than a superblock");
  const Result<Geometry> geometry = CheckSuperblock(superblock, static_cast<uint64_t>(info.st_size));
  if (!geometry.ok()) return refuse(geometry.status().ToString());
  void* view = mmap(nullptr, geometry->size, PROT_READ, MAP_SHARED, fd.get(), 0);
  if (view == MAP_FAILED) return refuse("cannot map " + path + ": " + strerror(errno));
  const Segment segment(static_cast<const std::byte*>(view), *geometry);
  const std::unique_ptr<Kernel> kernel = MakeLinuxKernel(ReopenReadOnly(fd.get(), path), ScopedFd());
  report = CheckSegment(
      segment, [&](SlotIndex slot) { return MayBeAlive(segment, slot, *kernel); },
      [&](Nanoseconds pause) { kernel->Pause(pause); });
  munmap(view, geometry->size);
  return report;
}

Result<Client> Store::Connect() const {
  Result<OpenedSegment> opened = OpenSegmentFile(path_);
  if (!opened.ok()) return opened.status();
  Result<std::unique_ptr<Gate>> gate = Gate::Map(opened->fd.get(), opened->geometry, options_);
  if (!gate.ok()) return gate.status();
  if (options_.audit) {
    const Status well = AuditAtAttach(**gate);
    if (!well.ok()) return well;
  }
  ScopedFd liveness = ReopenReadOnly(opened->fd.get(), path_);
  if (!liveness.ok()) return Status(Code::kSystem, "opening the segment for liveness", errno);
  ClientParts parts;
  parts.gate = std::move(*gate);
  parts.kernel = MakeLinuxKernel(std::move(liveness), std::move(opened->fd));
  parts.geometry = opened->geometry;
  parts.path = path_;
  parts.lock_timeout = options_.lock_timeout;
  return ClientCore::AttachClient(std::move(parts));
}

}  // namespace lightning
