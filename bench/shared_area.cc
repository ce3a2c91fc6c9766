#include "bench/shared_area.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>

#include "lightning/client.h"

namespace lightning::bench {
namespace {

constexpr const char* kDirectory = "/dev/shm";

std::string Prefix(pid_t pid) { return "lightning-bench-" + std::to_string(pid) + "-"; }

void RemoveLeftovers(pid_t pid) {
  const std::string prefix = Prefix(pid);
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(kDirectory, ignored)) {
    // The store makes its segments under a temporary name that contains the final one.
    if (entry.path().filename().string().find(prefix) != std::string::npos) {
      std::filesystem::remove(entry.path(), ignored);
    }
  }
}

uint64_t ReadNumber(const char* path, uint64_t otherwise) {
  std::ifstream file(path);
  uint64_t number = 0;
  return file >> number ? number : otherwise;
}

uint64_t MemAvailable() {
  std::ifstream file("/proc/meminfo");
  std::string word;
  uint64_t kilobytes = 0;
  while (file >> word) {
    if (word == "MemAvailable:" && file >> kilobytes) return kilobytes << 10;
  }
  return std::numeric_limits<uint64_t>::max();
}

}  // namespace

SharedArea::SharedArea(size_t size) : size_(size) {
  const int fd = open(kDirectory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  int failure = fd < 0 ? errno : posix_fallocate(fd, 0, static_cast<off_t>(size));
  if (failure == 0) {
    void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
    if (memory == MAP_FAILED) {
      failure = errno;
    } else {
      data_ = static_cast<std::byte*>(memory);
    }
  }
  if (fd >= 0) close(fd);
  if (failure != 0) error_ = std::string("no shared memory under /dev/shm: ") + std::strerror(failure);
}

SharedArea::~SharedArea() {
  if (data_ != nullptr) munmap(data_, size_);
}

void SharedArea::Populate() const {
  if (madvise(data_, size_, MADV_POPULATE_WRITE) == 0) return;
  for (size_t offset = 0; offset < size_; offset += 4096) {  // Linux before 5.14
    *reinterpret_cast<volatile const std::byte*>(data_ + offset);
  }
}

StoreName::StoreName(std::string_view tag) : path_(std::string(kDirectory) + "/" + Prefix(getpid())) {
  path_ += tag;
  std::remove(path_.c_str());
}

StoreName::~StoreName() { std::remove(path_.c_str()); }

Guardian::Guardian() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return;
  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ == 0) {
    setsid();  // a Ctrl-C at the terminal is for the parent
    close(ends[1]);
    char byte;
    while (read(ends[0], &byte, 1) < 0 && errno == EINTR) {
    }
    RemoveLeftovers(parent);
    _exit(0);
  }
  close(ends[0]);
  alive_ = ends[1];
}

Guardian::~Guardian() {
  if (pid_ <= 0) return;
  close(alive_);
  waitpid(pid_, nullptr, 0);
}

void DieWithParent(pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
}

uint64_t UsableSharedMemory() {
  struct statvfs info;
  uint64_t usable = std::numeric_limits<uint64_t>::max();
  if (statvfs(kDirectory, &info) == 0) usable = uint64_t{info.f_bavail} * info.f_frsize;
  const uint64_t limit = ReadNumber("/sys/fs/cgroup/memory.max", 0);
  const uint64_t used = ReadNumber("/sys/fs/cgroup/memory.current", 0);
  if (limit > used) usable = std::min(usable, limit - used);
  return std::min(usable, MemAvailable()) / 10 * 8;
}

Options SegmentFor(uint64_t objects, uint64_t value_size) {
  constexpr uint64_t kControlBytes = 384;  // of one object: its entry, its share of the index, two blocks
  Options options;
  options.mode = OpenMode::kCreate;
  options.isolation = Isolation::kNone;
  options.max_objects = static_cast<uint32_t>(objects + objects / 10 + 4096);
  const uint64_t rounded = (value_size + kGranule - 1) / kGranule * kGranule;
  options.size = (uint64_t{64} << 20) + options.max_objects * (rounded + kControlBytes);
  return options;
}

Options Attach(Isolation mode, bool prefault) {
  Options options;
  options.mode = OpenMode::kOpen;
  options.isolation = mode;
  options.prefault = prefault;
  return options;
}

}  // namespace lightning::bench
