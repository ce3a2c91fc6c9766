// A file from which the kernel reads into a segment.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "store/segment/segment_file.h"

namespace lightning::routes {

// 4 KiB of bytes that differ from what a segment holds.
inline ScopedFd Source() {
  ScopedFd fd(memfd_create("source", MFD_CLOEXEC));
  const std::string bytes(4096, 'Z');
  if (pwrite(fd.get(), bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) abort();
  return fd;
}

}  // namespace lightning::routes
