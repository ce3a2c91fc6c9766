#include "store/segment/segment_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstdio>
#include <cstring>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "store/segment/segment.h"

namespace lightning {
namespace {

Status FromErrno(const char* detail) {
  switch (errno) {
    case EACCES:
    case EPERM:
      return Status(Code::kNoPermission, detail, errno);
    case EROFS:
      return Status(Code::kReadOnly, detail, errno);
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return Status(Code::kNoSpace, detail, errno);
    case ENOENT:
    case ENOTDIR:
      return Status(Code::kNoSegment, detail, errno);
    case EISDIR:
      return Status(Code::kBadFormat, "not a regular file", errno);
    case EEXIST:
      return Status(Code::kAlreadyExists, detail, errno);
    default:
      return Status(Code::kSystem, detail, errno);
  }
}

uint64_t RandomNonZero() {
  uint64_t value = 0;
  while (value == 0) {
    if (getrandom(&value, sizeof value, 0) != sizeof value) value = 0;
  }
  return value;
}

uint64_t SuperblockChecksum(Superblock superblock) {
  superblock.checksum = 0;
  // Never zero, so that a page of zeroes is no superblock.
  return XXH3_64bits_withSeed(&superblock, sizeof superblock, kMagic) | 1;
}

// Never as descriptor 0, 1 or 2, which may be free: whatever a program prints would land in the segment.
ScopedFd Open(const char* path, int flags, mode_t mode = 0) {
  ScopedFd fd(open(path, flags | O_CLOEXEC, mode));
  if (!fd.ok() || fd.get() > STDERR_FILENO) return fd;
  return ScopedFd(fcntl(fd.get(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
}

// An unnamed file in the directory of `path` where the file system has those, so that a crash leaves nothing.
struct Nameless {
  ScopedFd fd;
  std::string name;  // empty: truly nameless
};
Nameless MakeNameless(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  ScopedFd fd = Open(directory.c_str(), O_TMPFILE | O_RDWR, 0600);
  if (fd.ok() || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)) return {std::move(fd), ""};
  char suffix[48];
  snprintf(suffix, sizeof suffix, ".%d.%016llx.new", getpid(), static_cast<unsigned long long>(RandomNonZero()));
  std::string name = path + suffix;
  ScopedFd named = Open(name.c_str(), O_CREAT | O_EXCL | O_RDWR, 0600);
  return {std::move(named), std::move(name)};
}

Status Allocate(int fd, uint64_t size) {
  // Every page now, so that a full file system is an error here and never a SIGBUS later.
  int error = 0;
  do {
    error = posix_fallocate(fd, 0, static_cast<off_t>(size));
  } while (error == EINTR);
  errno = error;
  return error == 0 ? Status() : FromErrno("allocating the segment");
}

Status Publish(const Nameless& file, const std::string& path) {
  char source[64];
  snprintf(source, sizeof source, "/proc/self/fd/%d", file.fd.get());
  const char* from = file.name.empty() ? source : file.name.c_str();
  const int failed = linkat(AT_FDCWD, from, AT_FDCWD, path.c_str(), file.name.empty() ? AT_SYMLINK_FOLLOW : 0);
  return failed == 0 ? Status() : FromErrno("naming the segment");
}

}  // namespace

ScopedFd& ScopedFd::operator=(ScopedFd&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

ScopedFd::~ScopedFd() {
  if (fd_ >= 0) close(fd_);
}

std::string SegmentPath(std::string_view name) {
  if (name.find('/') != std::string_view::npos) return std::string(name);
  return "/dev/shm/" + std::string(name);
}

Result<Geometry> CheckSuperblock(const Superblock& superblock, uint64_t file_size) {
  if (superblock.magic != kMagic) return Status(Code::kBadFormat, "the magic number is not Lightning's");
  if (superblock.format_version != kFormatVersion) return Status(Code::kBadVersion);
  if (superblock.superblock_size != sizeof(Superblock) || superblock.checksum != SuperblockChecksum(superblock))
    return Status(Code::kCorrupt, "the superblock's checksum does not match");
  if (file_size < superblock.size) return Status(Code::kTruncated);
  Options options;
  options.size = superblock.size;
  options.max_objects = superblock.max_objects;
  options.max_clients = superblock.max_clients;
  options.max_pins = superblock.max_pins;
  options.event_slots = superblock.event_slots;
  options.eviction = static_cast<Eviction>(superblock.eviction);
  Result<Geometry> geometry = Geometry::Compute(options);
  if (!geometry.ok()) return Status(Code::kCorrupt, geometry.status().detail());
  return geometry;
}

Result<OpenedSegment> OpenSegmentFile(const std::string& path) {
  ScopedFd fd = Open(path.c_str(), O_RDWR | O_NONBLOCK);
  if (!fd.ok()) return FromErrno("opening the segment");
  struct stat info;
  if (fstat(fd.get(), &info) != 0) return FromErrno("looking at the segment");
  if (!S_ISREG(info.st_mode)) return Status(Code::kBadFormat, "not a regular file");
  Superblock superblock;
  const ssize_t got = pread(fd.get(), &superblock, sizeof superblock, 0);
  if (got < 0) return FromErrno("reading the superblock");
  if (static_cast<size_t>(got) < sizeof superblock) return Status(Code::kBadFormat, "shorter than a superblock");
  Result<Geometry> geometry = CheckSuperblock(superblock, static_cast<uint64_t>(info.st_size));
  if (!geometry.ok()) return geometry.status();
  return OpenedSegment{std::move(fd), *geometry};
}

void FormatSegment(std::byte* memory, const Geometry& geometry, const Options& options) {
  Superblock superblock;
  memset(&superblock, 0, sizeof superblock);
  superblock.magic = kMagic;
  superblock.format_version = kFormatVersion;
  superblock.superblock_size = sizeof(Superblock);
  superblock.size = geometry.size;
  superblock.hash_seed = options.hash_seed != 0 ? options.hash_seed : RandomNonZero();
  superblock.max_objects = geometry.max_objects;
  superblock.max_clients = geometry.max_clients;
  superblock.max_pins = geometry.max_pins;
  superblock.event_slots = geometry.event_slots;
  superblock.eviction = static_cast<uint32_t>(options.eviction);
  superblock.segment_id = options.hash_seed != 0 ? options.hash_seed : RandomNonZero();
  superblock.checksum = SuperblockChecksum(superblock);

  // No transaction yet: nobody can see this memory, so its words are written as plain ones.
  auto set = [&](const Cell& cell, uint64_t value) {
    memcpy(memory + (reinterpret_cast<const std::byte*>(&cell) - memory), &value, sizeof value);
  };
  const Segment segment(memory, geometry);
  const Central& central = segment.central();
  const BlockId all{1};
  set(central.free_granules, geometry.heap_granules);
  set(central.block_unused, 1);
  set(central.object_free_count, geometry.objects);
  set(central.credits, geometry.max_objects);
  set(segment.block(all).extent, Pack(0, geometry.heap_granules));
  set(segment.block(all).state, static_cast<uint64_t>(BlockState::kFree));
  const uint32_t bin = BinOf(geometry.heap_granules);
  set(central.bins[bin], all.value);
  set(central.second_level[bin / kSecondLevel], uint64_t{1} << bin % kSecondLevel);
  set(central.first_level, uint64_t{1} << bin / kSecondLevel);
  memcpy(memory, &superblock, sizeof superblock);
}

Status CreateSegmentFile(const std::string& path, const Options& options) {
  Result<Geometry> geometry = Geometry::Compute(options);
  if (!geometry.ok()) return geometry.status();
  Nameless file = MakeNameless(path);
  if (!file.fd.ok()) return FromErrno("creating the segment");
  Status status = Allocate(file.fd.get(), geometry->size);
  if (status.ok()) {
    void* memory = mmap(nullptr, geometry->size, PROT_READ | PROT_WRITE, MAP_SHARED, file.fd.get(), 0);
    if (memory == MAP_FAILED) {
      status = FromErrno("mapping the segment");
    } else {
      FormatSegment(static_cast<std::byte*>(memory), *geometry, options);
      munmap(memory, geometry->size);
      status = Publish(file, path);
    }
  }
  if (!file.name.empty()) unlink(file.name.c_str());
  return status;
}

}  // namespace lightning
