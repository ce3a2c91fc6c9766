#include "store/watch/report.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace lightning {

void ReportDeed(Deed deed, uint64_t at, const void* caller) {
  constexpr int kMost = 16;  // of a process
  static std::atomic<int> reported = 0;
  if (reported.fetch_add(1) >= kMost) return;
  char text[1024] = "ERROR: inside a window: ";
  size_t size = strlen(text);
  const auto end = [&](int more) { size = std::min(size + static_cast<size_t>(std::max(more, 0)), sizeof text - 2); };
  end(DescribeDeed(deed, at, text + size, sizeof text - size - 1));
  Dl_info info = {};
  if (deed == Deed::kAllocation && dladdr(caller, &info) != 0)
    end(snprintf(text + size, sizeof text - size - 1, ", called from %s+0x%lx", info.dli_fname,
                 static_cast<unsigned long>(static_cast<const std::byte*>(caller) -
                                            static_cast<const std::byte*>(info.dli_fbase))));
  text[size++] = '\n';
  const char* const reports = getenv("LIGHTNING_WINDOW_REPORTS");
  int fd = STDERR_FILENO;
  if (reports != nullptr) {
    char path[512];
    snprintf(path, sizeof path, "%s.%d", reports, static_cast<int>(getpid()));
    fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  }
  if (write(fd, text, size) < 0 || reports == nullptr) abort();  // never without a word
  close(fd);
}

}  // namespace lightning
