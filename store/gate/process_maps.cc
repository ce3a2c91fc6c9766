#include "store/gate/process_maps.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <string>

#include "store/segment/segment_file.h"

namespace lightning {
namespace {

std::string ReadAll(const char* path) {
  std::string text;
  const ScopedFd fd(open(path, O_RDONLY | O_CLOEXEC));
  if (!fd.ok()) return text;
  constexpr size_t kStep = size_t{64} << 10;
  for (;;) {
    const size_t before = text.size();
    text.resize(before + kStep);
    const ssize_t got = read(fd.get(), text.data() + before, kStep);
    text.resize(before + static_cast<size_t>(got > 0 ? got : 0));
    if (got <= 0) return text;
  }
}

bool ParseEntry(const char* line, MapsEntry* entry) {
  char rights[5] = "";
  unsigned major = 0, minor = 0;
  int path = 0;
  if (sscanf(line, "%lx-%lx %4s %lx %x:%x %lu %n", &entry->begin, &entry->end, rights, &entry->offset, &major, &minor,
             &entry->inode, &path) != 7)
    return false;
  entry->readable = rights[0] == 'r';
  entry->writable = rights[1] == 'w';
  entry->executable = rights[2] == 'x';
  entry->shared = rights[3] == 's';
  entry->device = uint64_t{major} << 32 | minor;
  if (path > 0) entry->path = line + path;
  return true;
}

}  // namespace

std::vector<MapsEntry> ReadProcessMaps(bool details) {
  std::string text = ReadAll(details ? "/proc/self/smaps" : "/proc/self/maps");
  std::vector<MapsEntry> entries;
  for (size_t at = 0; at < text.size();) {
    const size_t end = text.find('\n', at);
    if (end == std::string::npos) break;
    text[end] = '\0';
    const char* line = text.data() + at;
    MapsEntry entry;
    if (ParseEntry(line, &entry)) {
      entries.push_back(entry);
    } else if (!entries.empty() && strncmp(line, "ProtectionKey:", 14) == 0) {
      sscanf(line, "ProtectionKey: %d", &entries.back().key);
    } else if (!entries.empty() && strncmp(line, "VmFlags:", 8) == 0) {
      entries.back().not_inherited = strstr(line, " dc") != nullptr;
    }
    at = end + 1;
  }
  return entries;
}

}  // namespace lightning
