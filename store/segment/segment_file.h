// The file behind a segment: made whole or not at all, and trusted only after its superblock has been checked.
#pragma once

#include <string>
#include <string_view>

#include "lightning/options.h"
#include "lightning/status.h"
#include "store/segment/geometry.h"

namespace lightning {

// A file descriptor that closes itself.
class ScopedFd {
 public:
  explicit ScopedFd(int fd = -1) : fd_(fd) {}
  ScopedFd(ScopedFd&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  ScopedFd& operator=(ScopedFd&& other) noexcept;
  ~ScopedFd();
  int get() const { return fd_; }
  bool ok() const { return fd_ >= 0; }

 private:
  int fd_;
};

// A path if `name` contains a slash, else a file under /dev/shm.
std::string SegmentPath(std::string_view name);

// Opens an existing segment for reading and writing and checks its superblock.
// kNoSegment, kBadFormat, kBadVersion, kTruncated, kCorrupt, kNoPermission, kReadOnly, kSystem.
struct OpenedSegment {
  ScopedFd fd;
  Geometry geometry;
};
Result<OpenedSegment> OpenSegmentFile(const std::string& path);

// Makes a formatted, fully allocated segment and links it to `path` in one step, so that nobody ever sees half of one,
// and a crash leaves nothing behind. kAlreadyExists when somebody else was first; kNoSpace; kInvalidArgument.
Status CreateSegmentFile(const std::string& path, const Options& options);

// The geometry of a superblock that may be any bytes; `file_size` is what the file really has.
Result<Geometry> CheckSuperblock(const Superblock& superblock, uint64_t file_size);

// Writes the superblock and the few words of central state that are not zero to zeroed memory. Used for files, and by
// tests and harnesses for segments in plain memory.
void FormatSegment(std::byte* memory, const Geometry& geometry, const Options& options);

}  // namespace lightning
